//! Bounding a wait, on any executor.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::runtime::Handle;

use crate::lease::Lease;

/// Resolves after `duration`, or when it is polled and the registry of this lease has ended.
///
/// The caller may run on any executor; the time is kept by the runtime that the registry was started on. A runtime that
/// ends closes its registries first, and then wakes all sleepers, who must not be polled any more.
pub(crate) async fn elapsed(runtime: &Handle, lease: &Lease, duration: Duration) {
    let sleep = {
        let _entered = runtime.enter();
        tokio::time::sleep(duration)
    };
    tokio::pin!(sleep);
    poll_fn(|context| if lease.is_closed() { Poll::Ready(()) } else { sleep.as_mut().poll(context) }).await;
}
