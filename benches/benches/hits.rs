//! For exploring: a hit beside bare `quick_cache`, one after the other. The numbers of the report are those of `src/bin`.

use std::{hint::black_box, sync::Arc};

use cachesync_benches::{
    node::{self, CAPACITY, Node},
    rounds::{Keys, block_on},
};
use criterion::{Criterion, criterion_group, criterion_main};
use quick_cache::sync::Cache as Bare;
use tokio::runtime;

const KEYS: u64 = 1_000;

fn hits(criterion: &mut Criterion) {
    let _node = Node::start([]);
    let bare: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    block_on(async {
        for key in 0..KEYS {
            black_box((node::user(key).await, node::bare_user(&bare, key).await));
        }
    });
    let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut keys = Keys::below(KEYS);
    criterion.bench_function("cachesync", |bench| bench.to_async(&runtime).iter(|| node::user(keys.draw())));
    criterion
        .bench_function("quick_cache", |bench| bench.to_async(&runtime).iter(|| node::bare_user(&bare, keys.draw())));
}

criterion_group!(all, hits);
criterion_main!(all);
