//! TLS, with certificates that are made for the test.

use std::{fs, path::PathBuf, time::Duration};

use cachesync_core::BackendErrorKind;
use cachesync_tests::{
    broker::{Broker, free_ports},
    wait::{DEADLINE, within},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::session::{backend, eviction, interest, open, refusal};

/// A broker that speaks TLS too, on this port, with a certificate for `localhost` by the issuer in this file.
struct TlsBroker {
    broker: Broker,
    port: u16,
    ca_file: PathBuf,
}

impl TlsBroker {
    fn start() -> Self {
        let [port] = free_ports();
        let mut issuer = CertificateParams::new(Vec::new()).expect("no names");
        issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().expect("a key")).expect("an issuer");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");

        let broker = Broker::start_with(|node| {
            let file = |name: &str, text: String| {
                let path = node.join(name);
                fs::write(&path, text).expect("the node's folder can be written");
                path.display().to_string()
            };
            format!(
                "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\nssl_options.verify = verify_none\n",
                file("ca.pem", issuer.pem()),
                file("certificate.pem", certificate.pem()),
                file("key.pem", key.serialize_pem()),
            )
        });
        let ca_file = broker.folder().join("ca.pem");
        Self { broker, port, ca_file }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_tls_needs_a_trusted_issuer_and_the_name_of_the_host() {
    let TlsBroker { broker, port, ca_file } = TlsBroker::start();
    let url = format!("amqps://guest:guest@localhost:{port}");

    let interest = interest();
    let mut session = open(&backend(&url).ca_file(&ca_file), &interest).await;
    within(DEADLINE, session.publisher.publish(&[eviction("secretly")])).await.expect("published");
    assert_eq!(within(DEADLINE, session.subscriber.next()).await.expect("a delivery").body, b"secretly");
    within(DEADLINE, session.publisher.close()).await;

    let unknown = refusal(&backend(&url)).await;
    assert_eq!(unknown.kind(), BackendErrorKind::Refused, "{unknown}");
    assert!(unknown.to_string().contains("that its issuer is trusted"), "{unknown}");
    let other_name = refusal(&backend(&format!("amqps://127.0.0.1:{port}")).ca_file(&ca_file)).await;
    assert_eq!(other_name.kind(), BackendErrorKind::Refused, "{other_name}");
    let missing = refusal(&backend(&url).ca_file("no/such.pem")).await;
    assert_eq!(missing.kind(), BackendErrorKind::Configuration, "{missing}");

    // TLS where there is none, and none where there is.
    let limit = Duration::from_secs(3);
    let plain = broker.url().replace("amqp://", "amqps://");
    let error = refusal(&backend(&plain).ca_file(&ca_file).connect_timeout(limit)).await;
    assert!(error.to_string().contains("speaks TLS"), "{error}");
    let error = refusal(&backend(&format!("amqp://guest:guest@localhost:{port}")).connect_timeout(limit)).await;
    assert!(error.to_string().contains("with TLS"), "{error}");
}
