//! Bounding a wait, on any executor.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::lease::Lease;

/// Resolves after `duration`, or when the registry of this lease has ended.
///
/// The caller may run on any executor; the time is kept by the runtime that the registry was started on. A runtime that
/// ends closes its registries first, and then wakes all sleepers, who must not be polled any more.
pub(crate) async fn elapsed(runtime: &Handle, lease: &Lease, duration: Duration) {
    let sleep = {
        let _entered = runtime.enter();
        tokio::time::sleep(duration)
    };
    tokio::select! {
        biased;
        () = lease.closed() => {}
        () = sleep => {}
    }
}
