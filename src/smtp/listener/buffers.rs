//! Room for content, lent to the connections that have a message coming in.

use parking_lot::Mutex;

/// Buffers kept for the next message; as many messages as come in at once on a busy machine.
const MOST: usize = 64;
/// A buffer that has grown beyond this is not kept.
const LARGEST: usize = 128 << 10;

/// What one connection has given back the next one uses while it is still in the processor's cache: an idle connection
/// keeps no room for content, and a busy one does not ask the allocator for each message.
#[derive(Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    pub fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.0.lock();
        if kept.len() < MOST && (1..=LARGEST).contains(&buffer.capacity()) {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_in_number_and_size() {
        let buffers = Buffers::default();
        buffers.give(vec![1; LARGEST + 1]);
        assert_eq!(buffers.take().capacity(), 0);
        for _ in 0..2 * MOST {
            buffers.give(vec![1; 1000]);
        }
        let kept = std::iter::repeat_with(|| buffers.take()).take_while(|b| b.capacity() > 0);
        assert_eq!(kept.inspect(|b| assert!(b.is_empty())).count(), MOST);
    }
}
