//! The address of a broker, `amqp://user:password@host:port/vhost`, and who logs in there.
//!
//! Invariant: the password leaves this module through [`BrokerUrl::to_lapin`] alone. No error here quotes a part of
//! the URL that could be a piece of a password which was not percent-encoded.

use std::{fmt, str::FromStr, time::Duration};

use cachesync_core::{BackendError, BackendErrorKind};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

/// The longest virtual host, in bytes: a short string of AMQP 0-9-1.
const MAX_VHOST_BYTES: usize = 255;

/// What is escaped when a user or a virtual host is shown.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'/').add(b':').add(b'@').add(b'?').add(b'#').add(b'%');

/// A parsed URL. `Display` and `Debug` show it without the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BrokerUrl {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    password: String,
    pub(crate) vhost: String,
    /// `?heartbeat=`, in seconds.
    pub(crate) heartbeat: Option<Duration>,
    /// `?connection_timeout=`, in milliseconds.
    pub(crate) connect_timeout: Option<Duration>,
}

impl BrokerUrl {
    /// The URL as lapin takes it, with the password.
    pub(crate) fn to_lapin(&self, heartbeat_seconds: u16) -> AMQPUri {
        AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: self.user.clone(), password: self.password.clone() },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString { heartbeat: Some(heartbeat_seconds), ..AMQPQueryString::default() },
        }
    }

    /// Host and port, for error texts.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}@{}/{}",
            if self.tls { "amqps" } else { "amqp" },
            utf8_percent_encode(&self.user, ESCAPED),
            self.address(),
            utf8_percent_encode(&self.vhost, ESCAPED),
        )
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BrokerUrl {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        let tls = match text.split_once("://") {
            Some(("amqp", _)) => false,
            Some(("amqps", _)) => true,
            _ => return Err(wrong("it must begin with `amqp://` or `amqps://`")),
        };
        let url = Url::parse(text).map_err(|error| {
            if error == url::ParseError::InvalidPort && text.contains(',') {
                return wrong(&format!("{error}; {SEVERAL}"));
            }
            wrong(&format!(
                "{error}; in a user name or password, write `/` as `%2f`, `@` as `%40`, `:` as `%3a`, `#` as `%23`"
            ))
        })?;
        // With an unescaped `/`, `?` or `#` in it, the rest of a password lands behind the host, together with the
        // `@`: none of these parts may be quoted then.
        let after_host = [Some(url.path()), url.query(), url.fragment()];
        if after_host.into_iter().flatten().any(|part| part.contains('@')) {
            return Err(wrong(
                "there is an `@` behind the host; in a user name or password, write `/` as `%2f`, `?` as `%3f`, `#` \
                 as `%23`, and in a virtual host write `@` as `%40`",
            ));
        }
        if url.fragment().is_some() {
            return Err(wrong("it has a `#`; write it as `%23`"));
        }
        let host = match url.host() {
            None | Some(Host::Domain("")) => {
                return Err(wrong("it names no host; write `amqp://localhost` for this one"));
            }
            Some(Host::Domain(name)) => decode(name, "host")?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
        };
        // No host's name has one: it is a list of hosts, as others write it.
        if host.contains(',') {
            return Err(wrong(SEVERAL));
        }
        if url.port() == Some(0) {
            return Err(wrong("port 0 cannot be connected to; leave it out for the default one"));
        }
        let user = match url.username() {
            "" => "guest".to_owned(),
            user => decode(user, "user name")?,
        };
        let password = url.password().map_or(Ok("guest".to_owned()), |password| decode(password, "password"))?;
        let (heartbeat, connect_timeout) = parse_query(&url)?;
        Ok(Self {
            tls,
            host,
            port: url.port().unwrap_or(if tls { 5671 } else { 5672 }),
            user,
            password,
            vhost: parse_vhost(url.path())?,
            heartbeat,
            connect_timeout,
        })
    }
}

fn parse_vhost(path: &str) -> Result<String, BackendError> {
    let Some(vhost) = path.strip_prefix('/') else {
        return Ok("/".to_owned());
    };
    if vhost.is_empty() {
        return Err(wrong(
            "it ends in `/`, which names a virtual host with an empty name; leave the `/` out for the default virtual \
             host, or write `/%2f`",
        ));
    }
    if vhost.contains('/') {
        return Err(wrong("its virtual host has a `/`; write it as `%2f`"));
    }
    let vhost = decode(vhost, "virtual host")?;
    if vhost.len() > MAX_VHOST_BYTES {
        return Err(wrong("its virtual host is longer than 255 bytes"));
    }
    Ok(vhost)
}

fn parse_query(url: &Url) -> Result<(Option<Duration>, Option<Duration>), BackendError> {
    let (mut heartbeat, mut connect_timeout) = (None, None);
    for (key, value) in url.query_pairs() {
        let number = || value.parse().map_err(|_| wrong(&format!("`{key}` must be a whole number")));
        match &*key {
            "heartbeat" => heartbeat = Some(Duration::from_secs(number()?)),
            "connection_timeout" => connect_timeout = Some(Duration::from_millis(number()?)),
            _ => {
                return Err(wrong(&format!(
                    "its parameter `{key}` is not known; there are `heartbeat` (seconds) and `connection_timeout` \
                     (milliseconds)"
                )));
            }
        }
    }
    Ok((heartbeat, connect_timeout))
}

fn decode(part: &str, name: &str) -> Result<String, BackendError> {
    match percent_decode_str(part).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(wrong(&format!("its {name} is not UTF-8 after percent-decoding"))),
    }
}

const SEVERAL: &str = "for several brokers, write the whole URL of each broker, `amqp://one,amqp://two`";

fn wrong(reason: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Configuration, format!("the broker's URL cannot be used: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> BrokerUrl {
        text.parse().expect(text)
    }

    fn refusal(text: &str) -> String {
        let error = text.parse::<BrokerUrl>().expect_err(text);
        assert_eq!(error.kind(), BackendErrorKind::Configuration);
        error.to_string()
    }

    #[test]
    fn what_is_left_out_is_what_rabbitmq_ships_with() {
        let url = parse("amqp://localhost");
        assert_eq!(url.to_string(), "amqp://guest@localhost:5672/%2f".replace("%2f", "%2F"));
        assert_eq!(url.to_lapin(7).authority.userinfo.password, "guest");
        assert_eq!(url.to_lapin(7).query.heartbeat, Some(7));
        assert_eq!(parse("amqps://localhost").port, 5671);
    }

    #[test]
    fn every_part_is_percent_decoded() {
        let url = parse("amqp://a%40b:p%2fw%23@example.com:1234/the%2fshop?heartbeat=5&connection_timeout=2500");
        assert_eq!((url.user.as_str(), url.host.as_str(), url.port), ("a@b", "example.com", 1234));
        assert_eq!(url.vhost, "the/shop");
        assert_eq!(url.to_lapin(1).authority.userinfo.password, "p/w#");
        assert_eq!(url.heartbeat, Some(Duration::from_secs(5)));
        assert_eq!(url.connect_timeout, Some(Duration::from_millis(2500)));
    }

    /// lapin's own parser takes any IPv6 address for `localhost`.
    #[test]
    fn an_ip_address_is_kept() {
        assert_eq!(parse("amqp://[2001:db8::1]:5672").host, "2001:db8::1");
        assert_eq!(parse("amqp://[2001:db8::1]").address(), "[2001:db8::1]:5672");
        assert_eq!(parse("amqp://192.0.2.1").host, "192.0.2.1");
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_to_write_instead() {
        for (text, hint) in [
            ("", "must begin with `amqp://`"),
            ("localhost:5672", "must begin with `amqp://`"),
            ("http://localhost", "must begin with `amqp://`"),
            ("amqp://", "names no host"),
            ("amqp:///shop", "names no host"),
            ("amqp://localhost/", "leave the `/` out"),
            ("amqp://localhost/a/b", "write it as `%2f`"),
            ("amqp://localhost:70000", "invalid port"),
            ("amqp://localhost:0", "port 0"),
            ("amqp://localhost/%ff", "virtual host is not UTF-8"),
            ("amqp://localhost/shop#x", "write it as `%23`"),
            ("amqp://localhost?heartbeat=soon", "`heartbeat` must be a whole number"),
            ("amqp://localhost?heartbeet=3", "`heartbeet` is not known"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(hint), "{text}: {refusal}");
        }
        assert!(refusal(&format!("amqp://localhost/{}", "x".repeat(256))).contains("longer than 255"));
    }

    #[test]
    fn a_password_is_never_shown_even_where_it_was_not_escaped() {
        for text in [
            "amqp://shop:hunter2@",
            "amqp://shop:hunter2@localhost/",
            "amqp://shop:hun/ter2@localhost",
            "amqp://shop:1/hunter2@localhost",
            "amqp://shop:1?hunter2=1@localhost",
            "amqp://shop:1#hunter2@localhost",
            "amqp://shop:hunter2%ff@localhost",
            "amqp//shop:hunter2@localhost",
        ] {
            let error = text.parse::<BrokerUrl>().expect_err(text);
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hun") && !shown.contains("ter2"), "{text}: {shown}");
            }
        }
        let url = parse("amqp://shop:hunter2@localhost");
        assert!(!format!("{url} {url:?}").contains("hunter2"));
    }
}
