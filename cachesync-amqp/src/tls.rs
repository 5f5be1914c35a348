//! TLS by rustls: the certificates that the system trusts, and those of a file.
//!
//! lapin without a TLS feature would speak plain AMQP to an `amqps://` URL, and send the password in clear: such a URL is
//! refused where the backend is made, see [`AmqpBackend::new`](crate::AmqpBackend::new).

use std::path::Path;

use cachesync_core::{BackendError, BackendErrorKind};
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// What makes TLS clients that trust the system's certificates and those of `ca_file`.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<RustlsConnector, BackendError> {
    let wrong = |message: String| BackendError::new(BackendErrorKind::Configuration, message);
    let mut config = match (RustlsConnectorConfig::new_with_native_certs(), ca_file) {
        (Ok(config), _) => config,
        // A slim image has none of its own.
        (Err(_), Some(_)) => RustlsConnectorConfig::default(),
        (Err(error), None) => {
            return Err(wrong(format!(
                "the system's trusted certificates cannot be read: {error}; install them (Debian: `ca-certificates`), or \
                 set `ca_file`"
            )));
        }
    };
    if let Some(path) = ca_file {
        config.add_parsable_certificates(read_certificates(path).map_err(wrong)?);
    }
    config.connector_with_no_client_auth().map_err(|error| wrong(format!("TLS cannot be set up: {error}")))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path_shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("`ca_file` {path_shown} cannot be read: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("`ca_file` {path_shown} holds no certificate in PEM form"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_holds_no_certificate_is_named() {
        let missing = connector(Some(Path::new("no/such.pem"))).unwrap_err();
        assert_eq!(missing.kind(), BackendErrorKind::Configuration);
        assert!(missing.to_string().contains("no/such.pem cannot be read"), "{missing}");
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let other = connector(Some(&other)).unwrap_err();
        assert!(other.to_string().contains("no certificate in PEM form"), "{other}");
    }
}
