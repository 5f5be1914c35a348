//! TLS, with certificates that are made for the test.

use std::{fs, path::PathBuf, time::Duration};

use cachesync_amqp::AmqpBackend;
use cachesync_core::{BackendError, BackendErrorKind};
use cachesync_tests::{
    broker::{Broker, free_ports},
    patient,
    wait::{DEADLINE, within},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::session::{backend, everything_shown, eviction, interest, open, refusal};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut issuer = CertificateParams::new(Vec::new()).expect("no names");
    issuer.distinguished_name.push(DnType::CommonName, "issuer");
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(issuer, KeyPair::generate().expect("a key")).expect("an issuer")
}

/// A certificate of this issuer and its key, in PEM.
fn certificate(issuer: &Issuer, name: &str, expired: bool) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
    // Of the same name as its issuer it would be taken for one that signed itself.
    parameters.distinguished_name.push(DnType::CommonName, name);
    if expired {
        parameters.not_after = date_time_ymd(2020, 1, 1);
    }
    (parameters.signed_by(&key, issuer).expect("a certificate").pem(), key.serialize_pem())
}

/// A broker that speaks TLS too, on this port, with a certificate for `localhost` by the issuer in this file.
struct TlsBroker {
    broker: Broker,
    port: u16,
    ca_file: PathBuf,
}

impl TlsBroker {
    /// One with these settings of TLS; of clients it trusts what this issuer signs.
    fn start(issuer: &Issuer, expired: bool, settings: &str) -> Self {
        let [port] = free_ports();
        let (certificate, key) = certificate(issuer, "localhost", expired);
        let broker = Broker::start_with(|node| {
            let file = |name: &str, text: &str| {
                let path = node.join(name);
                fs::write(&path, text).expect("the node's folder can be written");
                path.display().to_string()
            };
            format!(
                "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\n{settings}\n",
                file("ca.pem", &issuer.pem()),
                file("certificate.pem", &certificate),
                file("key.pem", &key),
            )
        });
        let ca_file = broker.folder().join("ca.pem");
        Self { broker, port, ca_file }
    }

    fn url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}", self.port)
    }

    fn backend(&self) -> AmqpBackend {
        backend(&self.url()).ca_file(&self.ca_file)
    }

    /// Files with a client's certificate and key.
    fn files(&self, name: &str, (certificate, key): &(String, String)) -> (PathBuf, PathBuf) {
        let file = |end: &str, text: &str| {
            let path = self.broker.folder().join(format!("{name}-{end}.pem"));
            fs::write(&path, text).expect("the node's folder can be written");
            path
        };
        (file("certificate", certificate), file("key", key))
    }
}

async fn assert_works(backend: &AmqpBackend) {
    let mut session = open(backend, &interest()).await;
    within(DEADLINE, session.publisher.publish(&[eviction("secretly")])).await.expect("published");
    assert_eq!(within(DEADLINE, session.subscriber.next()).await.expect("a delivery").body, b"secretly");
    within(DEADLINE, session.publisher.close()).await;
}

fn assert_says(error: &BackendError, kind: BackendErrorKind, text: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_tls_needs_a_trusted_issuer_and_the_name_of_the_host() {
    let issuer = issuer();
    let node = TlsBroker::start(&issuer, false, "ssl_options.verify = verify_none");
    let TlsBroker { broker, port, ca_file } = &node;
    assert_works(&node.backend()).await;

    let unknown = refusal(&backend(&node.url())).await;
    assert_says(&unknown, BackendErrorKind::Refused, "that its issuer is trusted");
    let other_issuer = self::issuer().pem();
    let (other_ca, _) = node.files("other", &(other_issuer, String::new()));
    let other_issuer = refusal(&backend(&node.url()).ca_file(other_ca)).await;
    assert_says(&other_issuer, BackendErrorKind::Refused, "that its issuer is trusted");
    let other_name = refusal(&backend(&format!("amqps://127.0.0.1:{port}")).ca_file(ca_file)).await;
    assert_says(&other_name, BackendErrorKind::Refused, "names this host");
    let missing = refusal(&backend(&node.url()).ca_file("no/such.pem")).await;
    assert_says(&missing, BackendErrorKind::Configuration, "no/such.pem");

    // TLS where there is none, and none where there is.
    let limit = Duration::from_secs(3);
    let plain = broker.url().replace("amqp://", "amqps://");
    let error = refusal(&backend(&plain).ca_file(ca_file).connect_timeout(limit)).await;
    assert!(error.to_string().contains("speaks TLS"), "{error}");
    let error = refusal(&backend(&format!("amqp://guest:guest@localhost:{port}")).connect_timeout(limit)).await;
    assert!(error.to_string().contains("with TLS"), "{error}");
    // Files for TLS without it.
    let error = refusal(&backend(broker.url()).ca_file(ca_file)).await;
    assert_says(&error, BackendErrorKind::Configuration, "`ca_file` is set and the broker's URL is without TLS");
    let error = refusal(&backend(broker.url()).client_certificate("a", "b")).await;
    assert_says(&error, BackendErrorKind::Configuration, "`client_certificate` is set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brokers_certificate_that_has_expired_is_refused() {
    let node = TlsBroker::start(&issuer(), true, "ssl_options.verify = verify_none");
    let error = refusal(&node.backend()).await;
    assert_says(&error, BackendErrorKind::Refused, "has not expired");
    assert!(error.to_string().to_lowercase().contains("expired:") || error.to_string().contains("Expired"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_asks_for_certificates_takes_those_of_its_issuer_and_no_others() {
    let issuer = issuer();
    let settings = "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true";
    // In TLS 1.3 the client hears of it after the handshake, in 1.2 during it.
    for version in ["tlsv1.3", "tlsv1.2"] {
        let node = TlsBroker::start(&issuer, false, &format!("{settings}\nssl_options.versions.1 = {version}"));
        let good = certificate(&issuer, "node", false);
        let (certificate_file, key_file) = node.files("good", &good);
        assert_works(&node.backend().client_certificate(&certificate_file, &key_file)).await;
        // Both in one file.
        let (both, _) = node.files("both", &(format!("{}{}", good.0, good.1), String::new()));
        assert_works(&node.backend().client_certificate(&both, &both)).await;

        let foreign = certificate(&self::issuer(), "node", false);
        let (foreign_file, foreign_key) = node.files("foreign", &foreign);
        let (expired_file, expired_key) = node.files("expired", &certificate(&issuer, "node", true));
        for refused in [
            node.backend(),
            node.backend().client_certificate(&foreign_file, &foreign_key),
            node.backend().client_certificate(expired_file, expired_key),
        ] {
            let error = refusal(&refused).await;
            assert!(matches!(error.kind(), BackendErrorKind::Refused | BackendErrorKind::Unreachable), "{error}");
            assert!(error.to_string().contains("`client_certificate`"), "{version}: {error}");
        }

        // What is wrong here is told before anything is sent.
        let garbage = node.files("garbage", &("no certificate".into(), format!("hunter2 {}", "x".repeat(99)))).1;
        for (certificate_file, key_file, text) in [
            (&PathBuf::from("no/such.pem"), &key_file, "no/such.pem cannot be read"),
            (
                &certificate_file,
                &PathBuf::from("no/such.pem"),
                "no/such.pem of the `client_certificate` cannot be read",
            ),
            (&garbage, &key_file, "holds no certificate"),
            (&certificate_file, &garbage, "holds no private key"),
            (&certificate_file, &foreign_key, "cannot be used together"),
        ] {
            let wrong = node.backend().client_certificate(certificate_file, key_file);
            let error = refusal(&wrong).await;
            assert_says(&error, BackendErrorKind::Configuration, text);
            let shown = everything_shown(&error) + &format!("{wrong:?}");
            let key_lines = good.1.lines().chain(foreign.1.lines()).filter(|line| !line.starts_with('-'));
            for secret in key_lines.chain(["hunter2"]) {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_goes_missing_is_shown_in_the_status_and_read_again_when_it_is_back() {
    use cachesync::{CacheConfig, Registry, UnknownCaches};

    let issuer = issuer();
    let node = TlsBroker::start(&issuer, false, "ssl_options.verify = verify_none");
    let builder = || {
        let builder = Registry::builder().namespace("files").cache(CacheConfig::new("users"));
        patient::registry(builder.unknown_caches(UnknownCaches::Bypass).backend(node.backend()))
    };
    let registry = builder().start().await.expect("starts");
    let away = node.ca_file.with_extension("away");
    fs::rename(&node.ca_file, &away).expect("renamed");
    let error = builder().start().await.expect_err("no start without it");
    assert!(error.is_configuration() && error.to_string().contains("`ca_file`"), "{error}");
    node.broker.ctl(&["close_all_connections", "the operator's wish"]);
    let shows = |text: &str| registry.status().last_error.is_some_and(|error| error.contains(text));
    cachesync_tests::wait::eventually(DEADLINE, || shows("`ca_file`")).await;
    fs::rename(&away, &node.ca_file).expect("renamed");
    cachesync_tests::wait::eventually(DEADLINE, || registry.stats().sessions >= 2).await;
    registry.shutdown().await.expect("ends");
}
