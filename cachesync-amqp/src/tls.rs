//! TLS by rustls: the certificates that the system trusts, and those of a file.

use std::{io, path::Path};

use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};

/// Makes a TLS client of `stream`, for a server that is `host`.
pub(crate) async fn handshake<S>(
    stream: AsyncTcpStream<S>,
    host: &str,
    ca_file: Option<&Path>,
) -> io::Result<AsyncTcpStream<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let cert_chain = ca_file.map(read_certificates).transpose()?;
    let config = OwnedTLSConfig { identity: None, cert_chain };
    stream.into_tls(host, config.as_ref()).await
}

fn read_certificates(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        io::Error::new(error.kind(), format!("`ca_file` {} cannot be read: {error}", path.display()))
    })?;
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        let message = format!("`ca_file` {} holds no certificate in PEM form", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_holds_no_certificate_is_named() {
        let missing = read_certificates(Path::new("no/such.pem")).unwrap_err().to_string();
        assert!(missing.contains("no/such.pem cannot be read"), "{missing}");
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let other = read_certificates(&other).unwrap_err().to_string();
        assert!(other.contains("no certificate in PEM form"), "{other}");
    }
}
