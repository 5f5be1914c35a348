//! Secrets are in nothing that is printed: a program logs all there is, at `TRACE`, shows everything that can be shown, panics
//! with every error, and what it has printed is searched.
//!
//! The exception is lapin's own target, which shows the login. That is in the documentation, and here is the proof that it is
//! the only one.

use std::{
    env,
    error::Error as StdError,
    fmt::{Debug, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    time::Duration,
};

use cachesync::{SharedKeys, amqp::AmqpBackend};
use cachesync_tests::{
    broker::{Broker, free_ports},
    wait::{DEADLINE, eventually},
};
use tracing::level_filters::LevelFilter;

use crate::node;

const URL: &str = "CACHESYNC_TEST_URL";
const PASSWORD: &str = "correct-horse-battery";
/// Of another user, as it is and as it stands in a URL.
const ODD_PASSWORD: &str = "st@ple/zebra#quartz";
const ODD_PASSWORD_IN_URL: &str = "st%40ple%2fzebra%23quartz";
const WRONG_PASSWORD: &str = "wrong-camel-saddle";
const SECRET: &str = "a-shared-secret-of-forty-bytes-or-so-now";
const NEXT_SECRET: &str = "another-shared-secret-of-some-forty-byte";
const SHORT_SECRET: &str = "short-walrus";

/// Parts of them, as text, percent-encoded, as numbers of bytes, and in hexadecimal digits.
fn forms_of_secrets() -> Vec<String> {
    let texts = [
        PASSWORD,
        ODD_PASSWORD,
        ODD_PASSWORD_IN_URL,
        WRONG_PASSWORD,
        SECRET,
        NEXT_SECRET,
        SHORT_SECRET,
        "zebra",
        "quartz",
        "battery",
        "saddle",
        "walrus",
    ];
    let mut forms = Vec::new();
    for text in texts {
        forms.push(text.to_owned());
        let numbers: Vec<_> = text.bytes().map(|byte| byte.to_string()).collect();
        forms.push(numbers.join(", "));
        forms.push(text.bytes().fold(String::new(), |mut digits, byte| {
            _ = write!(digits, "{byte:02x}");
            digits
        }));
    }
    forms
}

fn show(what: &str, shown: &dyn Debug) {
    println!("{what}: {shown:?} {shown:#?}");
}

/// An error with all that caused it; then somebody unwraps it.
fn show_error<T: Debug, E: StdError + 'static>(what: &str, result: Result<T, E>) {
    let error = result.as_ref().expect_err("it fails");
    let mut causes = Some(error as &dyn StdError);
    while let Some(cause) = causes {
        println!("{what}: {cause} {cause:?} {cause:#?}");
        causes = cause.source();
    }
    let unwrapped = catch_unwind(AssertUnwindSafe(|| result.unwrap()));
    assert!(unwrapped.is_err());
}

/// The program. Of the other tests alone it is none.
#[test]
#[ignore = "started by the test below"]
fn program_that_shows_everything() {
    let Ok(url) = env::var(URL) else { return };
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).without_time().init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let keys = SharedKeys::new(1, SECRET).unwrap().accept(2, NEXT_SECRET).unwrap().accept_unsigned(true);
        show("keys", &keys);
        show_error("short", SharedKeys::new(1, SHORT_SECRET));
        show_error("twice", keys.clone().accept(2, NEXT_SECRET));
        for (user, password) in [("plain", PASSWORD), ("odd", ODD_PASSWORD_IN_URL)] {
            let url = url.replace("guest:guest", &format!("{user}:{password}"));
            let backend = AmqpBackend::new(&url).unwrap();
            show("backend", &backend);
            let builder = node(&url, "redaction").shared_keys(keys.clone());
            show("builder", &builder);
            let registry = builder.start().await.unwrap();
            let users = registry.cache::<u64, u64>("users").unwrap();
            users.evict(&1);
            registry.flush().await.unwrap();
            show("registry", &registry);
            show("status", &registry.status());
            println!("{} {:?}", registry.describe(), registry.describe());
            show("stats", &registry.stats());
            show("cache", &users);
            registry.shutdown().await.unwrap();
        }
        // It cannot begin, for every reason there is.
        let wrong = url.replace("guest:guest", &format!("plain:{WRONG_PASSWORD}"));
        let [nobody] = free_ports();
        let address = url.split('@').nth(1).unwrap();
        let unreachable = format!("amqp://plain:{ODD_PASSWORD_IN_URL}@127.0.0.1:{nobody}");
        let tls = wrong.replace("amqp://", "amqps://");
        for (what, url) in [
            ("wrong", wrong.clone()),
            ("unreachable", unreachable.clone()),
            ("tls", tls),
            ("vhost", format!("amqp://plain:{PASSWORD}@{address}/none")),
        ] {
            show_error(what, node(&url, "redaction").shared_keys(keys.clone()).start().await);
            let registry = node(&url, "redaction").shared_keys(keys.clone()).start_lazy().await.unwrap();
            eventually(DEADLINE, || registry.status().last_error.is_some()).await;
            show("status", &registry.status());
            drop(registry);
        }
        for malformed in [
            format!("amqp//plain:{PASSWORD}@host"),
            format!("amqp://plain:{ODD_PASSWORD}@host"),
            format!("amqp://plain:{PASSWORD}%ff@host"),
            format!("amqp://plain:{PASSWORD}@host:99999"),
            format!("amqp://plain:{PASSWORD}@host/a/b"),
            format!("amqp://plain:{PASSWORD}@host?{PASSWORD}@"),
            format!("amqp://plain:{PASSWORD}@"),
        ] {
            show_error("malformed", AmqpBackend::new(&malformed));
        }
        let files = AmqpBackend::new(&unreachable.replace("amqp:", "amqps:")).unwrap();
        let files = files.client_certificate("no/such/certificate.pem", "no/such/key.pem").ca_file("no/such/ca.pem");
        show("files", &files);
        let interest = cachesync_core::backend::Interest {
            namespace: "redaction".parse().unwrap(),
            node_name: "node".into(),
            node: cachesync_core::frame::NodeId::random(),
            caches: cachesync_core::backend::Caches::All,
        };
        show_error("files", cachesync_core::Backend::connect(&files, interest, None).await);
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    println!("the end of the program");
}

#[test]
fn secrets_are_in_nothing_that_is_printed_but_lapins_own_trace() {
    let broker = Broker::shared_private();
    for (user, password) in [("plain", PASSWORD), ("odd", ODD_PASSWORD)] {
        broker.ctl(&["add_user", user, password]);
        broker.ctl(&["set_permissions", user, ".*", ".*", ".*"]);
    }
    let program = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "redaction::program_that_shows_everything", "--nocapture"])
        .env(URL, broker.url())
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&program.stdout) + String::from_utf8_lossy(&program.stderr);
    assert!(program.status.success() && printed.contains("the end of the program"), "{printed}");
    // What was meant to be shown is there, and it was listened to.
    for text in
        ["refuses the login of user `plain`", "signs_with: 1", "cannot be reached", "no TLS with", "DEBUG cachesync"]
    {
        assert!(printed.contains(text), "no {text}: {printed}");
    }

    let forms = forms_of_secrets();
    let (mut shown_by_lapin, mut messages) = (0, 0);
    for line in printed.lines() {
        messages += 1;
        let Some(secret) = forms.iter().find(|secret| line.contains(secret.as_str())) else { continue };
        let is_lapins = line.trim_start().starts_with("TRACE") && line.contains(" lapin::");
        assert!(is_lapins, "{secret} is shown: {line}");
        shown_by_lapin += 1;
    }
    assert!(messages > 200, "{messages}");
    // Should this fail, lapin shows it no longer, and the documentation need not warn of that.
    assert!(shown_by_lapin > 0);
    assert!(printed.contains("the login with its password is about to be logged"), "{printed}");
}
