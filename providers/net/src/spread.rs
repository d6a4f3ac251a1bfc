//! Many calls at once, within a bound, answered in the order they were asked.

use std::pin::Pin;

use futures_util::stream::{self, StreamExt as _};

/// Calls under way.
pub type Spread<'a, T> = Pin<Box<dyn Future<Output = Vec<T>> + Send + 'a>>;

/// Runs the futures, at most `limit` of them at once; gives what they came to, in their order. A
/// slow one holds no other up.
///
/// The type is spelled out so that it holds on to the futures alone, not to the iterator that made
/// them: an `async fn` of a trait object could not be sent to another thread else.
pub fn spread<'a, F>(limit: usize, calls: impl IntoIterator<Item = F>) -> Spread<'a, F::Output>
where
    F: Future<Output: Send> + Send + 'a,
{
    let calls: Vec<F> = calls.into_iter().collect();
    Box::pin(in_order(limit, calls))
}

async fn in_order<F: Future>(limit: usize, calls: Vec<F>) -> Vec<F::Output> {
    let numbered = calls.into_iter().enumerate();
    let running = numbered.map(|(n, call)| async move { (n, call.await) });
    let mut ended: Vec<_> = stream::iter(running)
        .buffer_unordered(limit.max(1))
        .collect()
        .await;
    ended.sort_by_key(|(n, _)| *n);
    ended.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_keep_their_order_and_a_slow_call_holds_no_other_up() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = |n: u64| {
            let (now, most) = (&now, &most);
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The first is the slowest.
                tokio::time::sleep(Duration::from_millis(if n == 0 { 50 } else { 1 })).await;
                now.fetch_sub(1, Ordering::SeqCst);
                n
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let start = std::time::Instant::now();
        let answers = runtime.block_on(spread(4, (0..40).map(call)));
        assert_eq!(answers, (0..40).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 4);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
