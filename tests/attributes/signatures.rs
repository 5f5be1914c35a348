//! Annotated functions of every kind keep their signature and share entries as their keys say.

use std::{fmt::Debug, sync::Arc};

use cachesync::{Key, Value, cacheable};

use crate::{Calls, registry};

#[cacheable(cache = "generic", key = (key, N))]
#[expect(clippy::needless_lifetimes, reason = "lifetimes that are declared are among what is tested")]
async fn generic<'a, K: Key, const N: usize>(calls: &'a Calls, key: &K) -> Result<[u32; N], &'static str>
where
    [u32; N]: Value,
{
    Ok([calls.count().await; N])
}

#[tokio::test]
async fn a_generic_function_is_cached_by_its_parameters() {
    let calls = Calls::default();
    let work = async {
        for _ in 0..2 {
            assert_eq!(generic::<u64, 2>(&calls, &1).await, Ok([1; 2]));
        }
        for calls_by_now in [2, 3] {
            let other = generic::<String, 2>(&calls, &"a".into()).await;
            assert_eq!(other, Ok([calls_by_now; 2]), "another key type: this instance runs uncached");
        }
        assert_eq!(generic::<u64, 2>(&calls, &1).await, Ok([1; 2]), "and does no harm to the first");
    };
    registry(&["generic"]).await.scope(work).await;
}

#[cacheable(cache = "impl-trait", key = id)]
async fn impl_trait(calls: &Calls, id: impl Key, what: impl Debug) -> Option<String> {
    drop(id);
    Some(format!("{what:?} {}", calls.count().await))
}

#[tokio::test]
async fn parameters_can_be_of_unnamed_types() {
    let calls = Calls::default();
    let work = async {
        assert_eq!(impl_trait(&calls, 1u64, "a").await.as_deref(), Some("\"a\" 1"));
        assert_eq!(impl_trait(&calls, 1u64, 'b').await.as_deref(), Some("\"a\" 1"));
    };
    registry(&["impl-trait"]).await.scope(work).await;
}

struct Point {
    x: i64,
    y: i64,
}

#[cacheable(cache = "pattern", key = (x, y, offset))]
async fn pattern(calls: &Calls, Point { x, y }: &Point, (mut offset, _): (i64, u8)) -> Option<i64> {
    calls.count().await;
    offset += x + y;
    Some(offset)
}

#[tokio::test]
async fn the_variables_of_a_pattern_are_in_the_key_and_in_the_body() {
    let calls = Calls::default();
    let work = async {
        for ignored in [1, 2] {
            assert_eq!(pattern(&calls, &Point { x: 1, y: 2 }, (3, ignored)).await, Some(6));
        }
        assert_eq!(pattern(&calls, &Point { x: 1, y: 2 }, (4, 0)).await, Some(7));
        assert_eq!(calls.get(), 2);
    };
    registry(&["pattern"]).await.scope(work).await;
}

#[derive(Default)]
struct Service<T> {
    tenant: u32,
    calls: Arc<Calls>,
    seen: Vec<T>,
}

impl<T: Value + From<u32>> Service<T> {
    #[cacheable(cache = "methods", key = (self.tenant, id))]
    async fn shared(&self, id: u32) -> Result<T, String> {
        Ok((self.calls.count().await + id).into())
    }

    #[cacheable(cache = "methods-skip", skip(self))]
    async fn skipped(&mut self, id: u32) -> Option<T> {
        self.seen.push(id.into());
        Some(self.calls.count().await.into())
    }

    #[cacheable(cache = "methods-owned", key = self.tenant)]
    async fn owned(mut self) -> Option<T> {
        self.seen.push(1.into());
        self.calls.count().await;
        self.seen.pop()
    }

    #[cacheable(cache = "methods-arc", key = self.tenant)]
    async fn arc(self: Arc<Self>) -> Option<u32> {
        Some(self.calls.count().await)
    }

    #[cacheable(cache = "methods-associated", key = id)]
    async fn associated(calls: &Calls, id: u32) -> Option<T> {
        Some((calls.count().await + id).into())
    }
}

#[tokio::test]
async fn methods_of_a_generic_impl_are_cached() {
    let caches = ["methods", "methods-skip", "methods-owned", "methods-arc", "methods-associated"];
    let calls = Arc::new(Calls::default());
    let service = |tenant| Service::<u64> { tenant, calls: calls.clone(), seen: Vec::new() };
    let work = async {
        assert_eq!(service(1).shared(10).await, Ok(11));
        assert_eq!(service(1).shared(10).await, Ok(11));
        assert_eq!(service(2).shared(10).await, Ok(12), "another tenant's");

        let (mut first, mut second) = (service(1), service(2));
        assert_eq!((first.skipped(1).await, second.skipped(1).await), (Some(3), Some(3)));
        assert_eq!((first.seen.len(), second.seen.len()), (1, 0));

        assert_eq!((service(1).owned().await, service(1).owned().await), (Some(1), Some(1)));
        assert_eq!(calls.get(), 4);

        assert_eq!((Arc::new(service(1)).arc().await, Arc::new(service(1)).arc().await), (Some(5), Some(5)));

        for _ in 0..2 {
            assert_eq!(Service::<u64>::associated(&calls, 0).await, Some(6));
        }
    };
    registry(&caches).await.scope(work).await;
}

trait Source {
    fn calls(&self) -> &Calls;
    fn tenant(&self) -> String;

    #[cacheable(cache = "trait", key = self.tenant())]
    async fn provided(&self) -> Option<u32> {
        Some(self.calls().count().await)
    }

    async fn required(&self) -> Option<u32>;
}

impl Source for Service<()> {
    fn calls(&self) -> &Calls {
        &self.calls
    }

    fn tenant(&self) -> String {
        self.tenant.to_string()
    }

    #[cacheable(cache = "trait-impl", key = Source::tenant(self))]
    async fn required(&self) -> Option<u32> {
        Some(self.calls.count().await)
    }
}

#[tokio::test]
async fn methods_of_traits_are_cached() {
    let service = Service::<()>::default();
    let work = async {
        for _ in 0..2 {
            assert_eq!(service.provided().await, Some(1));
        }
        for _ in 0..2 {
            assert_eq!(service.required().await, Some(2));
        }
    };
    registry(&["trait", "trait-impl"]).await.scope(work).await;
}
