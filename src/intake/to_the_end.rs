//! Work that is finished although nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// Runs in its caller, which costs no task, and goes on as a task of its own where the caller is dropped: a connection
/// that is lost during the commit must not leave a durable message in no queue.
///
/// Where the runtime itself stops, or the work panicked, the next start finds what it left; so it does where the caller is
/// dropped outside a runtime.
pub(super) struct ToTheEnd<F: Future + Send + 'static>(Option<Pin<Box<F>>>)
where
    F::Output: Send + 'static;

impl<F: Future + Send + 'static> ToTheEnd<F>
where
    F::Output: Send + 'static,
{
    pub fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F: Future + Send + 'static> Future for ToTheEnd<F>
where
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out meanwhile: work that panics is not polled again.
        let Some(mut work) = self.0.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for ToTheEnd<F>
where
    F::Output: Send + 'static,
{
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "a message was not handed on; where it is in the spool a restart finds it"
            );
        }
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_goes_on_where_its_caller_is_dropped() {
        let (begin, begun) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        let mut work = Box::pin(ToTheEnd::new(async move {
            begun.await.unwrap();
            done.send(7).unwrap();
        }));
        assert!(poll_once(&mut work).await.is_pending());
        drop(work);
        begin.send(()).unwrap();
        assert_eq!(finished.await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_is_waited_for_ends_in_its_caller() {
        assert_eq!(ToTheEnd::new(async { 7 }).await, 7);
    }

    /// Polls once.
    async fn poll_once<F: Future + Unpin>(work: &mut F) -> Poll<F::Output> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *work).poll(cx))).await
    }
}
