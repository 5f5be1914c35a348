//! Evictions in JSON where there are shared keys, made as a program in any language makes them: from the words of the README.

use std::time::{Duration, SystemTime};

use cachesync::{Cache, ManualClock, Registry, memory::MemoryBackend};
use cachesync_core::backend::Format;
use cachesync_tests::{faulty::FaultyBackend, patient, wait::eventually};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    nodes::{DEADLINE, load, node},
    shared_keys::keys,
};

fn now() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// As the README says it. Of cachesync nothing is used.
fn signed(namespace: &str, secret: &[u8], sent_at: u64, nonce: &str, eviction: &str) -> Value {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(format!("cachesync-json-1\n{namespace}\n1\n{sent_at}\n{nonce}\n{eviction}").as_bytes());
    let mac = format!("{:x}", mac.finalize().into_bytes());
    json!({"key": 1, "sent_at": sent_at, "nonce": nonce, "evict": eviction, "mac": mac})
}

async fn start(hub: &MemoryBackend, clock: &ManualClock) -> (Registry, Cache<u64, String>, FaultyBackend) {
    let backend = FaultyBackend::new(hub);
    let builder = node().shared_keys(keys()).clock(clock.clone()).backend(backend.clone());
    let registry = patient::registry(builder).start().await.unwrap();
    let users = registry.cache("users").unwrap();
    (registry, users, backend)
}

#[tokio::test]
async fn a_signed_eviction_is_applied_once_and_any_other_never() {
    let clock = ManualClock::new();
    let (registry, users, backend) = start(&MemoryBackend::new(), &clock).await;
    for key in 1..=5 {
        load(&users, key, "Ada").await;
    }
    let send = |json: &Value| backend.inject(Format::Json, Some("users"), json.to_string());
    let refused = async |expected: (u64, u64, u64, u64, u64)| {
        let seen = || {
            let refused = registry.stats().refused;
            (refused.unsigned, refused.unknown_key, refused.forged, refused.replayed, refused.out_of_time)
        };
        eventually(DEADLINE, || seen() == expected).await;
    };
    let evict = |key: u64| format!(r#"{{"cache": "users", "keys": [{key}]}}"#);
    let good = signed("test", &[1; 32], now(), "4f", &evict(1));
    send(&good);
    eventually(DEADLINE, || users.len() == 4).await;
    load(&users, 1, "Ada").await;
    send(&good);
    refused((0, 0, 0, 1, 0)).await;

    // Each field is covered.
    for (field, value) in [
        ("evict", json!(evict(2))),
        ("nonce", json!("4e")),
        ("sent_at", json!(now() + 1)),
        ("mac", json!("00".repeat(32))),
    ] {
        let mut tampered = good.clone();
        tampered[field] = value;
        send(&tampered);
    }
    send(&signed("another", &[1; 32], now(), "4f", &evict(2)));
    send(&signed("test", &[2; 32], now(), "4f", &evict(2)));
    refused((0, 0, 6, 1, 0)).await;
    let mut unknown = good.clone();
    unknown["key"] = json!(2);
    send(&unknown);
    refused((0, 1, 6, 1, 0)).await;
    send(&json!({"cache": "users", "all": true}));
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("mac");
    send(&without);
    refused((2, 1, 6, 1, 0)).await;
    let minutes = |minutes: u64| minutes * 60_000;
    send(&signed("test", &[1; 32], now() - minutes(6), "a", &evict(2)));
    send(&signed("test", &[1; 32], now() + minutes(6), "a", &evict(2)));
    refused((2, 1, 6, 1, 2)).await;
    assert_eq!((users.len(), users.stats().cleared), (5, 0));

    // Heard before is heard before, also in the next session; and when that is forgotten it is too old.
    backend.cut();
    eventually(DEADLINE, || registry.stats().sessions == 2).await;
    load(&users, 1, "Ada").await;
    send(&good);
    refused((2, 1, 6, 2, 2)).await;
    clock.advance(Duration::from_mins(6));
    // Dates count from the last heartbeat that came back.
    eventually(DEADLINE, || registry.status().lease_left != Some(Duration::ZERO)).await;
    send(&good);
    refused((2, 1, 6, 2, 3)).await;
    assert_eq!(users.len(), 1);

    // What is authentic and not understood clears, as ever.
    let sent_at = now() + minutes(6);
    send(&signed("test", &[1; 32], sent_at, "b", r#"{"cache": "users"}"#));
    eventually(DEADLINE, || users.is_empty()).await;
    assert_eq!(registry.stats().bad_messages, 1);
}

/// What another program has made, in Python.
#[test]
fn what_python_signs_is_what_is_expected() {
    let mac = "0b5ac9cabca9ba54366de11a4ba4442389efa7b339340135b4209b7e85f82e0d";
    assert_eq!(signed("shop", &[1; 32], 1_760_000_000_000, "4f0c", r#"{"cache": "users", "keys": [42]}"#)["mac"], mac);
}
