//! What lapin must not be given: parts of messages that its parser cannot read, or not without harm.
//!
//! Whoever may publish chooses routing key, properties and headers, and the broker passes them on as they are. lapin's
//! parser, seen in 4.12, calls itself for each level of a header's value, without limit: one message whose header holds
//! lists in lists, a thousand deep, overflows the stack of lapin's thread, and that ends the process. Text that is not
//! UTF-8 is an error, which ends the session. So every frame passes here before lapin sees it, and
//!
//! - a property or a header that lapin could not read is left out;
//! - of a routing key that is not UTF-8 the bytes beyond ASCII become `?`, so that it names no cache.
//!
//! All else is passed on as it is, the body of the message above all: what is left is for the decoder to judge.
//!
//! Invariant: whatever comes in, each frame that goes out has its length, and nests at most [`MAX_DEPTH`] deep.

use std::io;

/// How deeply lists and tables may nest in a header. Nobody's are deeper but to do harm.
const MAX_DEPTH: usize = 8;
/// The longest frame that is looked into, in bytes. RabbitMQ's are at most 128 KiB unless it is told otherwise.
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// Type, channel and size.
const HEAD: usize = 7;
const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
/// The first byte of the protocol header, by which a broker refuses a version. It is no frame, and has eight bytes.
const PROTOCOL_HEADER: u8 = b'A';
/// The class `basic` with its method `deliver`.
const DELIVER: [u8; 4] = [0, 60, 0, 60];

/// Reads the broker's bytes, in whatever pieces they come.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The beginning of a frame, as far as it has come.
    frame: Vec<u8>,
    /// How many bytes are to come of a frame that is not looked into.
    passing: usize,
}

impl Screen {
    /// How many of the bytes to come can go to lapin without being looked at.
    pub(crate) fn passing(&self) -> usize {
        self.passing
    }

    /// So many have gone there.
    pub(crate) fn passed(&mut self, bytes: usize) {
        self.passing -= bytes;
    }

    /// Takes the next bytes, and appends to `ready` what can go to lapin.
    ///
    /// # Errors
    ///
    /// When a frame that has to be looked into is longer than any broker sends.
    pub(crate) fn take(&mut self, mut bytes: &[u8], ready: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            let wanted = if self.passing > 0 { self.passing } else { self.length()? - self.frame.len() };
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            bytes = later;
            if self.passing > 0 {
                ready.extend_from_slice(now);
                self.passing -= now.len();
                continue;
            }
            self.frame.extend_from_slice(now);
            if self.frame.len() == HEAD && !self.is_looked_into() {
                self.passing = if self.frame[0] == PROTOCOL_HEADER { 1 } else { self.size() + 1 };
                ready.append(&mut self.frame);
            } else if self.frame.len() > HEAD && self.frame.len() == self.length()? {
                screen(&mut self.frame, ready);
                self.frame.clear();
            }
        }
        Ok(())
    }

    fn is_looked_into(&self) -> bool {
        matches!(self.frame[0], METHOD | CONTENT_HEADER)
    }

    /// What the head says of the length of what is between it and the frame's last byte.
    fn size(&self) -> usize {
        let size = self.frame[3..HEAD].try_into().expect("four bytes");
        usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX - 1)
    }

    /// How long the frame is, as far as that is known: at first its head.
    fn length(&self) -> io::Result<usize> {
        if self.frame.len() < HEAD {
            return Ok(HEAD);
        }
        if self.size() > MAX_FRAME_BYTES {
            let error = format!("a frame of {} bytes is longer than any that RabbitMQ sends", self.size());
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(HEAD + self.size() + 1)
    }
}

/// Appends to `ready` what of a whole frame can go to lapin.
fn screen(frame: &mut [u8], ready: &mut Vec<u8>) {
    let (head, rest) = frame.split_at_mut(HEAD);
    let (payload, end) = rest.split_at_mut(rest.len() - 1);
    if head[0] == METHOD {
        screen_method(payload);
        ready.extend_from_slice(head);
        ready.extend_from_slice(payload);
    } else {
        let payload = screen_content_header(payload);
        ready.extend_from_slice(&head[..3]);
        append_long(&payload, ready);
    }
    ready.extend_from_slice(end);
}

/// Of the methods only a delivery has in it what its publisher chose: where it was published, and to whom.
fn screen_method(payload: &mut [u8]) {
    fn text_len(bytes: &[u8]) -> Option<usize> {
        let len = usize::from(*bytes.first()?) + 1;
        (len <= bytes.len()).then_some(len)
    }
    let Some(rest) = payload.strip_prefix(&DELIVER) else { return };
    // The consumer's tag, the delivery's tag, whether it comes again.
    let Some(skipped) = text_len(rest).map(|len| DELIVER.len() + len + 8 + 1) else { return };
    let mut rest = payload.get_mut(skipped..).unwrap_or_default();
    while let Some(len) = text_len(rest) {
        let (text, more) = rest.split_at_mut(len);
        if str::from_utf8(&text[1..]).is_err() {
            text[1..].iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
        rest = more;
    }
}

/// The content header without what lapin could not read of its properties.
fn screen_content_header(payload: &[u8]) -> Vec<u8> {
    // Class, weight, the length of the body; then which properties there are.
    const FIXED: usize = 2 + 2 + 8;
    let Some((fixed, [high, low, properties @ ..])) = payload.split_at_checked(FIXED) else { return payload.to_vec() };
    let flags = u16::from_be_bytes([*high, *low]);
    let (kept, properties) = readable_properties(flags, properties);
    [fixed, &kept.to_be_bytes(), &properties].concat()
}

/// The properties that can be read, and the flags that say which they are.
fn readable_properties(flags: u16, mut bytes: &[u8]) -> (u16, Vec<u8>) {
    let (mut kept, mut properties) = (0, Vec::with_capacity(bytes.len()));
    for bit in (2..16).rev() {
        let flag = 1 << bit;
        if flags & flag == 0 {
            continue;
        }
        let readable = match bit {
            // The headers.
            13 => take_long(&mut bytes).map(|table| Some(readable_headers(table))),
            // How it is delivered, its priority.
            12 | 11 => take(&mut bytes, 1).map(|octet| Some(octet.to_vec())),
            // When it was sent.
            6 => take(&mut bytes, 8).map(|time| Some(time.to_vec())),
            _ => take_text(&mut bytes).map(|text| str::from_utf8(&text[1..]).is_ok().then(|| text.to_vec())),
        };
        match readable {
            Some(Some(property)) => {
                kept |= flag;
                properties.extend(property);
            }
            Some(None) => {}
            // Where it ends is not known, so nothing is of what follows.
            None => break,
        }
    }
    (kept, properties)
}

/// The table of these headers, with those that can be read.
fn readable_headers(mut headers: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(headers.len());
    loop {
        let before = headers;
        let Some(is_readable) = take_entry(&mut headers, MAX_DEPTH) else { break };
        if is_readable {
            kept.extend_from_slice(&before[..before.len() - headers.len()]);
        }
    }
    let mut table = Vec::with_capacity(4 + kept.len());
    append_long(&kept, &mut table);
    table
}

/// Takes a name and its value; whether both can be read. `None` at the end, and where it is not known where they end.
fn take_entry(bytes: &mut &[u8], depth: usize) -> Option<bool> {
    let name = take_text(bytes)?;
    let value = take_value(bytes, depth)?;
    Some(value && str::from_utf8(&name[1..]).is_ok())
}

/// Takes a value; whether it can be read. The types are RabbitMQ's, which lapin has too.
fn take_value(bytes: &mut &[u8], depth: usize) -> Option<bool> {
    let len = match take(bytes, 1)?[0] {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'U' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'L' | b'l' | b'd' | b'T' => 8,
        b'S' | b'x' => return take_long(bytes).map(|_| true),
        b'A' => return take_long(bytes).map(|list| are_readable(list, depth, take_value)),
        b'F' => return take_long(bytes).map(|table| are_readable(table, depth, take_entry)),
        _ => return None,
    };
    take(bytes, len).map(|_| true)
}

/// Whether all that is in a list or a table can be read; what is too deep is not looked at.
fn are_readable(mut bytes: &[u8], depth: usize, take: fn(&mut &[u8], usize) -> Option<bool>) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    while !bytes.is_empty() {
        if take(&mut bytes, depth) != Some(true) {
            return false;
        }
    }
    true
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    bytes.split_off(..len)
}

/// Takes a short text, with the byte that says its length.
fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(*bytes.first()?);
    take(bytes, 1 + len)
}

/// Takes what is behind four bytes that say its length.
fn take_long<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::from_be_bytes(take(bytes, 4)?.try_into().expect("four bytes"));
    take(bytes, usize::try_from(len).ok()?)
}

fn append_long(bytes: &[u8], to: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).expect("no longer than what came in, whose length was one");
    to.extend(len.to_be_bytes());
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
