//! The future of an annotated function is not much larger than that of the function alone.

use std::{hint::black_box, mem::size_of_val};

use cachesync::{cache_evict, cache_put, cacheable};
use tokio::task::yield_now;

/// Each body twice: annotated, and as it is.
macro_rules! pairs {
    ($($name:ident: [$($attribute:tt)*] ($($parameter:ident: $type:ty = $argument:expr),*) -> $returns:ty $body:block)*) => {
        mod annotated {
            use super::*;
            $(#[$($attribute)*] pub(super) async fn $name($($parameter: $type),*) -> $returns $body)*
        }

        mod alone {
            use super::*;
            $(pub(super) async fn $name($($parameter: $type),*) -> $returns $body)*
        }

        #[test]
        fn a_future_is_at_most_half_as_large_again_and_a_bit() {
            let mut too_large = Vec::new();
            $({
                let annotated = size_of_val(&annotated::$name($($argument),*));
                let alone = size_of_val(&alone::$name($($argument),*));
                if annotated > alone * 3 / 2 + 256 {
                    too_large.push(format!("{}: {alone} became {annotated}", stringify!($name)));
                }
            })*
            assert_eq!(too_large, [""; 0]);
        }
    };
}

pairs! {
    empty: [cacheable(cache = "sizes")] (id: u64 = 1) -> Option<u64> { Some(id) }

    one_wait: [cacheable(cache = "sizes", key = id)] (id: u64 = 1) -> Result<u64, String> {
        yield_now().await;
        Ok(id)
    }

    large_local: [cacheable(cache = "sizes", key = id)] (id: u64 = 1) -> Option<u64> {
        let buffer = black_box([1u8; 4096]);
        yield_now().await;
        Some(id + u64::from(buffer[7]))
    }

    large_parameter: [cacheable(cache = "sizes", key = id)] (id: u64 = 1, buffer: [u8; 4096] = [1; 4096]) -> Option<u64> {
        yield_now().await;
        Some(id + u64::from(buffer[7]))
    }

    large_value: [cacheable(cache = "sizes-large", key = id)] (id: u64 = 1) -> Option<[u64; 64]> {
        yield_now().await;
        Some([id; 64])
    }

    text_key: [cacheable(cache = "sizes-text", key = (name, name, id))] (id: u64 = 1, name: &str = "Ada") -> Option<u64> {
        yield_now().await;
        Some(id + name.len() as u64)
    }

    with_policy: [cacheable(cache = "sizes", key = id, unless = *result == 0, tags = [id])] (id: u64 = 1) -> Option<u64> {
        let buffer = black_box([1u8; 1024]);
        yield_now().await;
        Some(id + u64::from(buffer[7]))
    }

    evicting: [cache_evict(cache = "sizes", key = id)] (id: u64 = 1) -> Result<u64, String> {
        let buffer = black_box([1u8; 1024]);
        yield_now().await;
        Ok(id + u64::from(buffer[7]))
    }

    putting: [cache_put(cache = "sizes", key = id)] (id: u64 = 1) -> Result<u64, String> {
        let buffer = black_box([1u8; 1024]);
        yield_now().await;
        Ok(id + u64::from(buffer[7]))
    }
}
