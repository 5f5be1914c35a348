//! TLS by rustls: the certificates that the system trusts, and those of a file.
//!
//! lapin without a TLS feature would speak plain AMQP to an `amqps://` URL, and send the password in clear: such a URL is
//! refused where the backend is made, see [`AmqpBackend::new`](crate::AmqpBackend::new).

use std::path::{Path, PathBuf};

use cachesync_core::{BackendError, BackendErrorKind};
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Where the certificate is by which a client proves who it is, and its key.
#[derive(Debug, Clone)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

/// What makes TLS clients that trust the system's certificates and those of `ca_file`, and prove themselves by `client`.
pub(crate) fn connector(
    ca_file: Option<&Path>,
    client: Option<&ClientCertificate>,
) -> Result<RustlsConnector, BackendError> {
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
        config.add_parsable_certificates(read_certificates("ca_file", path).map_err(wrong)?);
    }
    if let Some(ClientCertificate { certificate_file, key_file }) = client {
        let chain = read_certificates("client_certificate", certificate_file).map_err(wrong)?;
        let key = read_key(key_file).map_err(wrong)?;
        return config.connector_with_single_cert(chain, key).map_err(|error| {
            // What rustls says of it sounds as if the broker had sent it.
            tracing::debug!(%error, "the client certificate cannot be used");
            wrong(format!(
                "the `client_certificate` {} and the key {} cannot be used together; check that the key is that of the first \
                 certificate in the file",
                certificate_file.display(),
                key_file.display()
            ))
        });
    }
    config.connector_with_no_client_auth().map_err(|error| wrong(format!("TLS cannot be set up: {error}")))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        let path_shown = path.display();
        let reason = match error {
            // Its text says nothing of what is in the file; that of others might.
            rustls_pki_types::pem::Error::Io(error) => error.to_string(),
            _ => "it holds no private key in PEM form without a password".to_owned(),
        };
        format!("the key {path_shown} of the `client_certificate` cannot be read: {reason}")
    })
}

fn read_certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path_shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("`{option}` {path_shown} cannot be read: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("`{option}` {path_shown} holds no certificate in PEM form"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_holds_no_certificate_is_named() {
        let missing = connector(Some(Path::new("no/such.pem")), None).unwrap_err();
        assert_eq!(missing.kind(), BackendErrorKind::Configuration);
        assert!(missing.to_string().contains("no/such.pem cannot be read"), "{missing}");
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let other = connector(Some(&other), None).unwrap_err();
        assert!(other.to_string().contains("no certificate in PEM form"), "{other}");
    }
}
