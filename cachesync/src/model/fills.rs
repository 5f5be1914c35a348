//! Every way to fill against every way to evict (rule R1): what is kept when both are done is what is committed.

use std::time::Duration;

use cachesync_core::codec;

use super::{
    batches, check, puts,
    world::{HOLD, World, tag},
};

/// The database commits a version of row 1, which is then evicted; meanwhile somebody fills it.
pub(super) fn race(fill: fn(&World), evict: fn(&World)) {
    let world = World::new();
    let filler = world.spawn(fill);
    let writer = world.spawn(move |world| {
        world.write(1, 1);
        evict(world);
    });
    filler.join().unwrap();
    writer.join().unwrap();
    world.assert_coherent();
}

pub(super) mod by {
    use super::*;

    pub(in crate::model) fn load(world: &World) {
        world.load(1);
    }

    pub(in crate::model) fn tagged_load(world: &World) {
        world.load_tagged(1);
    }

    pub(in crate::model) fn reservation(world: &World) {
        let reservation = world.reserve(1);
        reservation.fill(world.read(1));
    }

    pub(in crate::model) fn batch(world: &World) {
        batches::load(world, [2, 1], false);
    }

    pub(in crate::model) fn tagged_batch(world: &World) {
        batches::load(world, [1, 2], true);
    }

    pub(in crate::model) fn put(world: &World) {
        puts::put(world, 1, 2);
    }

    pub(in crate::model) fn tagged_put(world: &World) {
        puts::put_tagged(world, 1, 2);
    }

    pub(in crate::model) fn late_put(world: &World) {
        puts::put_late(world, 1, 2);
    }
}

pub(super) mod evictions {
    use super::*;

    pub(in crate::model) fn an_eviction_of_its_key(world: &World) {
        world.cache.evict(&1);
    }

    pub(in crate::model) fn an_eviction_of_many_keys(world: &World) {
        world.cache.evict_many([2, 1]);
    }

    pub(in crate::model) fn an_eviction_of_all(world: &World) {
        world.cache.evict_all();
    }

    pub(in crate::model) fn an_eviction_of_its_tag(world: &World) {
        world.cache.evict_tag(tag());
    }

    pub(in crate::model) fn an_eviction_by_another_node(world: &World) {
        let keys = [2u64, 1].map(|key| codec::encode_key(&key).unwrap());
        world.slot.any_store(Duration::ZERO).unwrap().evict_encoded(&keys, Duration::ZERO).unwrap();
    }

    pub(in crate::model) fn a_clear(world: &World) {
        world.node.clear();
    }

    pub(in crate::model) fn an_eviction_with_a_hold(world: &World) {
        world.node.evict(&world.slot, &1u64, HOLD);
    }

    pub(in crate::model) fn an_eviction_of_many_keys_with_a_hold(world: &World) {
        world.node.evict_many(&world.slot, &[2u64, 1], HOLD);
    }

    pub(in crate::model) fn an_eviction_of_all_with_a_hold(world: &World) {
        world.node.evict_all(&world.slot, HOLD);
    }

    pub(in crate::model) fn an_eviction_of_its_tag_with_a_hold(world: &World) {
        world.node.evict_tags(&world.slot, &[tag()], HOLD);
    }
}

macro_rules! meets {
    ($($test:ident $fill:ident: $($eviction:ident)+;)+) => {$(
        mod $test {
            use super::*;

            $(
                #[test]
                fn $eviction() {
                    check(|| race(by::$fill, evictions::$eviction));
                }
            )+
        }
    )+};
    // What carries no tag is not meant by an eviction of one.
    (untagged: $($test:ident $fill:ident;)+) => {
        meets! {$(
            $test $fill: an_eviction_of_its_key an_eviction_of_many_keys an_eviction_of_all an_eviction_by_another_node
                a_clear an_eviction_with_a_hold an_eviction_of_many_keys_with_a_hold an_eviction_of_all_with_a_hold;
        )+}
    };
    (tagged: $($test:ident $fill:ident;)+) => {
        meets! {$(
            $test $fill: an_eviction_of_its_key an_eviction_of_all an_eviction_of_its_tag an_eviction_of_its_tag_with_a_hold;
        )+}
    };
}

meets! { untagged:
    a_load_meets load;
    a_reservation_meets reservation;
    a_batch_meets batch;
    a_put_meets put;
    a_put_whose_key_is_in_its_result_meets late_put;
}

meets! { tagged:
    a_load_with_tags_meets tagged_load;
    a_batch_with_tags_meets tagged_batch;
    a_put_with_tags_meets tagged_put;
}
