//! What threads share state by: the types of std and tokio, and under the model checker ones that it can schedule.
//!
//! Architecture invariant: without `--cfg cachesync_shuttle`, which `cargo xtask model` alone gives, these *are* the types
//! of std and tokio, and nothing stands between them and the code. The flag is no Cargo feature, so no dependency of
//! anybody's can give it, and it counts only in the unit tests of this crate, so what is shipped never depends on it.
//!
//! What the rules rest on takes its locks, atomics and notifications from here: `cache/`, `transaction/`, `engine/outbox`,
//! `lease`, `clock` and `registry/{node,slot}`. Counters, which order nothing, do not. `Arc` is only a pointer.
//! tokio's semaphores and `watch` stay what they are: each of their steps is one step, they wait by wakers, and nothing of
//! ours runs under their locks but comparisons.

#[cfg(not(all(test, cachesync_shuttle)))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard, OnceLock, RwLock, atomic},
    thread_local,
};

#[cfg(not(all(test, cachesync_shuttle)))]
pub(crate) use quick_cache::DefaultHashBuilder;
#[cfg(not(all(test, cachesync_shuttle)))]
pub(crate) use tokio::{sync::Notify, task_local};

#[cfg(all(test, cachesync_shuttle))]
pub(crate) use checked::{DefaultHashBuilder, Notify, OnceLock, TaskLocal, task_local};
#[cfg(all(test, cachesync_shuttle))]
pub(crate) use shuttle::{
    sync::{Mutex, MutexGuard, RwLock, atomic},
    thread_local,
};

/// What shuttle does not have: the same types with a point before each step at which another thread may run.
#[cfg(all(test, cachesync_shuttle))]
mod checked {
    use std::{
        cell::RefCell,
        hash::{BuildHasherDefault, DefaultHasher},
        mem,
        pin::Pin,
        task::{Context, Poll},
    };

    use shuttle::{
        sync::atomic::{AtomicBool, Ordering},
        thread::LocalKey,
    };
    use tokio::sync::{Notify as TokioNotify, futures::Notified};

    /// Always the same hashes, so that a schedule can be run again.
    pub(crate) type DefaultHashBuilder = BuildHasherDefault<DefaultHasher>;

    /// Where another thread may run. Not `yield_now`, which asks the scheduler to let one run.
    #[derive(Debug, Default)]
    struct Point(AtomicBool);

    impl Point {
        fn pass(&self) {
            self.0.load(Ordering::SeqCst);
        }
    }

    /// As std's. No initializer of ours has a step in which another thread could ask for the same value.
    pub(crate) struct OnceLock<T> {
        point: Point,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self { point: Point::default(), value: std::sync::OnceLock::new() }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            self.point.pass();
            self.value.get()
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.point.pass();
            self.value.set(value)
        }

        pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
            self.point.pass();
            self.value.get_or_init(init)
        }
    }

    /// tokio's, which wakes by wakers and so knows no threads.
    #[derive(Debug, Default)]
    pub(crate) struct Notify {
        point: Point,
        inner: TokioNotify,
    }

    impl Notify {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn notified(&self) -> Notified<'_> {
            self.point.pass();
            self.inner.notified()
        }

        pub(crate) fn notify_one(&self) {
            self.point.pass();
            self.inner.notify_one();
        }

        pub(crate) fn notify_waiters(&self) {
            self.point.pass();
            self.inner.notify_waiters();
        }
    }

    /// As tokio's, whose values belong to the thread that polls. All threads of a model are one to the system, so here they
    /// belong to shuttle's.
    pub(crate) struct TaskLocal<T: 'static>(pub(crate) &'static LocalKey<RefCell<Option<T>>>);

    macro_rules! task_local {
        ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty;) => {
            $(#[$attribute])*
            $visibility static $name: $crate::sync::TaskLocal<$type> = {
                shuttle::thread_local! {
                    static VALUE: std::cell::RefCell<Option<$type>> = std::cell::RefCell::new(None);
                }
                $crate::sync::TaskLocal(&VALUE)
            };
        };
    }
    pub(crate) use task_local;

    /// The task is in no scope.
    pub(crate) struct OutOfScope;

    impl<T: 'static> TaskLocal<T> {
        pub(crate) fn scope<F: Future>(&'static self, value: T, future: F) -> Scoped<T, F> {
            Scoped { local: self, value: Some(value), future: Some(Box::pin(future)) }
        }

        pub(crate) fn try_with<R>(&'static self, read: impl FnOnce(&T) -> R) -> Result<R, OutOfScope> {
            self.0.with(|value| value.borrow().as_ref().map(read).ok_or(OutOfScope))
        }
    }

    /// A future in a scope.
    pub(crate) struct Scoped<T: 'static, F> {
        local: &'static TaskLocal<T>,
        value: Option<T>,
        future: Option<Pin<Box<F>>>,
    }

    impl<T: 'static, F> Scoped<T, F> {
        fn within<R>(&mut self, work: impl FnOnce(&mut Option<Pin<Box<F>>>) -> R) -> R {
            self.local.0.with(|value| mem::swap(&mut *value.borrow_mut(), &mut self.value));
            let result = work(&mut self.future);
            self.local.0.with(|value| mem::swap(&mut *value.borrow_mut(), &mut self.value));
            result
        }
    }

    /// Nothing in it is pinned but what is in the box.
    impl<T: 'static, F> Unpin for Scoped<T, F> {}

    impl<T: 'static, F: Future> Future for Scoped<T, F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
            self.within(|future| {
                let polled = future.as_mut().expect("it is not polled after it was ready").as_mut().poll(context);
                if polled.is_ready() {
                    *future = None;
                }
                polled
            })
        }
    }

    /// As tokio's, a future that is dropped is dropped in its scope.
    impl<T: 'static, F> Drop for Scoped<T, F> {
        fn drop(&mut self) {
            if self.future.is_some() {
                self.within(|future| *future = None);
            }
        }
    }
}
