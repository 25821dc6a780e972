//! Work on several images at once, in no order that shows.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread;

use anyhow::{Result, anyhow};

/// Works on each item, on at most so many at once, and gives the results in the order of the items. Of several failures
/// the first item's is given.
pub(crate) fn each<T: Send, R: Send>(
    items: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let count = items.len();
    if at_once.min(count) <= 1 {
        return items.into_iter().map(work).collect();
    }
    let queue = Mutex::new(items.into_iter().enumerate());
    let mut slots: Vec<Option<Result<R>>> = (0..count).map(|_| None).collect();
    let done = Mutex::new(&mut slots);
    thread::scope(|threads| {
        let run = || {
            loop {
                let next = queue.lock().ok().and_then(|mut queue| queue.next());
                let Some((at, item)) = next else { return };
                let result = work(item);
                if let Ok(mut done) = done.lock() {
                    done[at] = Some(result);
                }
            }
        };
        let workers: Vec<_> = (0..at_once.min(count)).map(|_| threads.spawn(run)).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                resume_unwind(panic);
            }
        }
    });
    slots.into_iter().map(|slot| slot.unwrap_or_else(|| Err(anyhow!("a thread ended early")))).collect()
}

/// How many images are worked on at once: each is read by several threads as well, and each has all its entries in
/// memory.
pub(crate) fn at_once() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(4)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for at_once in [1, 2, 8] {
            let slow_first = |n: u64| {
                thread::sleep(Duration::from_millis(20 - 4 * n));
                Ok(n * 10)
            };
            assert_eq!(each((0..5).collect(), at_once, slow_first).expect("works"), [0, 10, 20, 30, 40]);
        }
        assert!(each(Vec::<u8>::new(), 4, Ok).expect("works").is_empty());
    }

    #[test]
    fn the_first_items_failure_counts_whichever_comes_first() {
        let fails = |n: u64| match n {
            1 | 3 => {
                thread::sleep(Duration::from_millis(if n == 1 { 40 } else { 0 }));
                Err(anyhow!("item {n}"))
            }
            n => Ok(n),
        };
        for at_once in [1, 4] {
            assert_eq!(each((0..4).collect(), at_once, fails).expect_err("fails").to_string(), "item 1");
        }
    }
}
