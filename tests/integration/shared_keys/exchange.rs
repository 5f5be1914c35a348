//! Keys are introduced and exchanged node by node, without a lost eviction.

use super::*;

#[tokio::test(start_paused = true)]
async fn keys_are_exchanged_node_by_node_without_a_lost_eviction() {
    let hub = MemoryBackend::new();
    let old = || SharedKeys::new(1, SECRET).unwrap();
    let new = || SharedKeys::new(2, NEXT_SECRET).unwrap();
    let steps = [old(), old().accept(2, NEXT_SECRET).unwrap(), new().accept(1, SECRET).unwrap(), new()];
    let mut nodes = [Node::on(&hub, old()).await, Node::on(&hub, old()).await];
    for step in steps {
        for index in 0..2 {
            nodes[index] = Node::on(&hub, step.clone()).await;
            nodes[0].evict_on(&nodes[1], 7).await;
            nodes[1].evict_on(&nodes[0], 7).await;
            for node in &nodes {
                let refused = node.registry.stats().refused;
                assert_eq!((refused.unknown_key, refused.forged, refused.unsigned), (0, 0, 0), "{step:?}");
            }
        }
    }
    // And what the old key signs is worth nothing any more.
    let body = sign(&MacKey::new(1, &SECRET).unwrap(), "test", &users_frame(), now());
    nodes[0].backend.inject(Format::Frame, Some("users"), body);
    nodes[0].expect_refused(|refused| refused.unknown_key, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_gets_its_first_keys_node_by_node_without_a_lost_eviction_and_knows_when_to_end_that() {
    let hub = MemoryBackend::new();
    let mut nodes = [Node::on(&hub, None).await, Node::on(&hub, None).await];
    for step in [keys().accept_unsigned(true), keys()] {
        for index in 0..2 {
            nodes[index] = Node::on(&hub, step.clone()).await;
            nodes[0].evict_on(&nodes[1], 7).await;
            nodes[1].evict_on(&nodes[0], 7).await;
            let refused = |node: &Node| node.registry.stats().refused.unsigned;
            assert_eq!((refused(&nodes[0]), refused(&nodes[1])), (0, 0));
        }
    }
    let here = Node::on(&hub, keys().accept_unsigned(true)).await;
    load(&here.users, 1, "kept").await;
    let problem = |texts: &[String]| texts.iter().any(|text| text.contains("unsigned messages are accepted"));
    assert!(problem(&here.registry.status().problems) && problem(&here.registry.describe().problems));
    assert!(here.registry.describe().to_string().contains("problem: unsigned messages"));
    // A wrong proof is worse than none.
    let forged = sign(&MacKey::new(1, &NEXT_SECRET).unwrap(), "test", &users_frame(), now());
    here.backend.inject(Format::Frame, Some("users"), forged);
    here.expect_refused(|refused| refused.forged, 1).await;
    assert_eq!((here.users.len(), here.registry.stats().unsigned), (1, 0));
    here.backend.inject(Format::Frame, Some("users"), codec::encode(&users_frame()));
    eventually(DEADLINE, || here.users.is_empty()).await;
    here.backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "all": true}"#);
    eventually(DEADLINE, || here.registry.stats().unsigned == 2).await;
}
