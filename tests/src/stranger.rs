//! A program that is not cachesync and means no good: it speaks AMQP by hand, and so publishes what no client library
//! would.
//!
//! It waits for no confirms, and blocks where the broker holds it back.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use url::Url;

use crate::wait::DEADLINE;

/// The longest frame that it sends, in bytes, with its head and end: what RabbitMQ allows unless it is told otherwise.
const MAX_FRAME: usize = 128 * 1024;

const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const BODY: u8 = 3;

/// A connection with one channel.
#[derive(Debug)]
pub struct Stranger {
    stream: TcpStream,
}

/// The properties of a message, as they stand on the wire.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    flags: u16,
    bytes: Vec<u8>,
}

impl Properties {
    /// A content type of any bytes, at most 255.
    #[must_use]
    pub fn content_type(content_type: &[u8]) -> Self {
        Self { flags: 0x8000, bytes: short(content_type) }
    }

    /// With headers besides: entries of a table, one after the other.
    #[must_use]
    pub fn headers(mut self, entries: &[u8]) -> Self {
        self.flags |= 0x2000;
        self.bytes.extend(long(entries));
        self
    }

    /// An entry of headers: lists in lists, so many.
    #[must_use]
    pub fn nested(depth: usize) -> Vec<u8> {
        let value = (0..depth).fold(vec![b'V'], |inner, _| [&b"A"[..], &long(&inner)].concat());
        [short(b"nested"), value].concat()
    }

    /// An entry of headers: a number of this name, of any bytes.
    #[must_use]
    pub fn number(name: &[u8]) -> Vec<u8> {
        [short(name), b"I\0\0\0\x07".to_vec()].concat()
    }
}

impl Stranger {
    /// Connects to the broker at this `amqp://` URL.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached, or says no.
    pub fn connect(url: &str) -> io::Result<Self> {
        let url: Url = url.parse().map_err(io::Error::other)?;
        let host = url.host_str().ok_or(io::ErrorKind::InvalidInput)?;
        let mut stream = TcpStream::connect((host, url.port().unwrap_or(5672)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let mut stranger = Self { stream: stream.try_clone()? };

        stream.write_all(b"AMQP\0\0\x09\x01")?;
        stranger.answer([10, 10])?;
        let login = ["", url.username(), url.password().unwrap_or_default()].join("\0");
        stranger.call(0, [10, 11], &[long(b""), short(b"PLAIN"), long(login.as_bytes()), short(b"en_US")])?;
        stranger.answer([10, 30])?;
        // 2,047 channels, frames as long as that, no heartbeats.
        let tuned = [&2047u16.to_be_bytes()[..], &0x2_0000u32.to_be_bytes(), &[0, 0]].concat();
        stranger.call(0, [10, 31], &[tuned])?;
        let vhost = match url.path() {
            "" => "/".to_owned(),
            path => path[1..].replace("%2f", "/").replace("%2F", "/"),
        };
        stranger.call(0, [10, 40], &[short(vhost.as_bytes()), vec![0, 0]])?;
        stranger.answer([10, 41])?;
        stranger.call(1, [20, 10], &[vec![0]])?;
        stranger.answer([20, 11])?;
        Ok(stranger)
    }

    /// Publishes a message of any bytes.
    ///
    /// # Errors
    ///
    /// When the broker has ended the connection, or holds it back for longer than is waited for.
    pub fn publish(
        &mut self,
        exchange: &str,
        routing_key: &[u8],
        properties: &Properties,
        body: &[u8],
    ) -> io::Result<()> {
        let publish = [vec![0, 0], short(exchange.as_bytes()), short(routing_key), vec![0]];
        let mut frames = frame(METHOD, 1, &method([60, 40], &publish));
        let length = u64::try_from(body.len()).expect("a length").to_be_bytes();
        let header = [&[0, 60, 0, 0], &length[..], &properties.flags.to_be_bytes(), &properties.bytes].concat();
        frames.extend(frame(CONTENT_HEADER, 1, &header));
        for part in body.chunks(MAX_FRAME - 8) {
            frames.extend(frame(BODY, 1, part));
        }
        self.stream.write_all(&frames)
    }

    /// Waits until the broker has read everything that was published.
    ///
    /// # Errors
    ///
    /// When the broker has ended the connection instead, such as for something that it refuses.
    pub fn settle(&mut self) -> io::Result<()> {
        // A method that is answered, behind everything on the channel: it asks for no more than any number of messages.
        self.call(1, [60, 10], &[vec![0; 7]])?;
        self.answer([60, 11])
    }

    fn call(&mut self, channel: u16, id: [u16; 2], arguments: &[Vec<u8>]) -> io::Result<()> {
        self.stream.write_all(&frame(METHOD, channel, &method(id, arguments)))
    }

    /// Reads until this method comes.
    fn answer(&mut self, id: [u16; 2]) -> io::Result<()> {
        loop {
            let mut head = [0; 7];
            self.stream.read_exact(&mut head)?;
            let size = u32::from_be_bytes(head[3..].try_into().expect("four bytes"));
            let mut rest = vec![0; usize::try_from(size).expect("a length") + 1];
            self.stream.read_exact(&mut rest)?;
            if head[0] != METHOD {
                continue;
            }
            if rest.starts_with(&method(id, &[])) {
                return Ok(());
            }
            // The end of the connection, or of the channel.
            if rest.starts_with(&[0, 10, 0, 50]) || rest.starts_with(&[0, 20, 0, 40]) {
                return Err(io::Error::other(String::from_utf8_lossy(&rest).into_owned()));
            }
        }
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    [&[kind], &channel.to_be_bytes()[..], &long(payload), &[0xCE]].concat()
}

fn method(id: [u16; 2], arguments: &[Vec<u8>]) -> Vec<u8> {
    [id.map(u16::to_be_bytes).concat(), arguments.concat()].concat()
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("at most 255 bytes")], text].concat()
}

fn long(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).expect("at most 4 GiB").to_be_bytes()[..], content].concat()
}
