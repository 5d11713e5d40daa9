//! Bytes on their way out, and buffers for reuse. Pure: no I/O, no clock.

use std::{collections::VecDeque, io::IoSlice, rc::Rc};

use crate::limits::{POOL_BUFFER, POOL_BYTES, SHARE_FROM, WRITE_SLICES};

/// Unsent output of one connection.
///
/// Nearly all output is short: it is appended to `head` and leaves with one `write`. Only a shared
/// segment makes a `tail` necessary, and with it `writev`. Empty, it owns no memory.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Copied bytes that go first.
    head: Vec<u8>,
    /// What follows `head`. Boxed, since it is rare and every connection has an output.
    tail: Option<Box<Tail>>,
    /// Bytes of the first segment (`head`, or the front of the tail when that is empty) already sent.
    sent: usize,
}

/// Segments in order; never without any.
#[derive(Debug, Default)]
struct Tail {
    segments: VecDeque<Segment>,
    /// Bytes of all of them.
    len: usize,
}

#[derive(Debug)]
enum Segment {
    Owned(Vec<u8>),
    Shared(Rc<[u8]>),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Owned(bytes) => bytes,
            Segment::Shared(bytes) => bytes,
        }
    }
}

/// A run of unsent output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    /// Of this output alone.
    Own(&'a [u8]),
    /// What others may have queued as well, and how much of it was sent.
    Shared(&'a Rc<[u8]>, usize),
}

impl<'a> Piece<'a> {
    /// What is unsent of it.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes, sent) => &bytes[sent..],
        }
    }
}

impl Output {
    /// Unsent bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.as_ref().map_or(0, |tail| tail.len) - self.sent
    }

    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.tail.is_none()
    }

    /// Queues a copy of `bytes`.
    pub fn push(&mut self, bytes: &[u8], pool: &mut Pool) {
        let Some(tail) = &mut self.tail else {
            if self.head.capacity() == 0 {
                self.head = pool.take();
            }
            return self.head.extend_from_slice(bytes);
        };
        tail.len += bytes.len();
        if let Some(Segment::Owned(last)) = tail.segments.back_mut() {
            return last.extend_from_slice(bytes);
        }
        let mut last = pool.take();
        last.extend_from_slice(bytes);
        tail.segments.push_back(Segment::Owned(last));
    }

    /// Queues `bytes` without a copy, unless they are so few that a copy is cheaper.
    pub fn push_shared(&mut self, bytes: &Rc<[u8]>, pool: &mut Pool) {
        if bytes.len() < SHARE_FROM {
            return self.push(bytes, pool);
        }
        let tail = self.tail.get_or_insert_default();
        tail.len += bytes.len();
        tail.segments.push_back(Segment::Shared(Rc::clone(bytes)));
    }

    /// All unsent bytes, if they lie in one piece as nearly always.
    pub fn only(&self) -> Option<&[u8]> {
        self.tail.is_none().then(|| &self.head[self.sent..])
    }

    fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let tail = self.tail.iter().flat_map(|tail| tail.segments.iter().map(Segment::bytes));
        std::iter::once(self.head.as_slice()).chain(tail)
    }

    /// The next unsent bytes, at most `budget` of them, as slices for one `writev`.
    pub fn slices<'a>(
        &'a self,
        mut budget: usize,
        slices: &mut [IoSlice<'a>; WRITE_SLICES],
    ) -> usize {
        let mut skip = self.sent;
        let mut filled = 0;
        for segment in self.segments().filter(|segment| !segment.is_empty()).take(WRITE_SLICES) {
            let piece = &segment[skip..];
            skip = 0;
            let piece = &piece[..piece.len().min(budget)];
            if piece.is_empty() {
                break;
            }
            budget -= piece.len();
            slices[filled] = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    /// All that is unsent, as it lies.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut sent = self.sent; // of the first
        let head = Some(&self.head).filter(|head| !head.is_empty());
        let head = head.map(|head| Piece::Own(&head[std::mem::take(&mut sent)..]));
        let tail = self.tail.iter().flat_map(|tail| &tail.segments);
        head.into_iter().chain(tail.map(move |segment| {
            let sent = std::mem::take(&mut sent);
            match segment {
                Segment::Owned(bytes) => Piece::Own(&bytes[sent..]),
                Segment::Shared(bytes) => Piece::Shared(bytes, sent),
            }
        }))
    }

    /// All unsent bytes, copied into one piece.
    #[cfg(test)]
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().flat_map(|piece| piece.bytes().to_vec()).collect()
    }

    /// Forgets `count` bytes from the front: they have been sent.
    pub fn advance(&mut self, count: usize, pool: &mut Pool) {
        self.sent += count;
        if !self.head.is_empty() {
            if self.sent < self.head.len() {
                return compact(&mut self.head, &mut self.sent);
            }
            self.sent -= self.head.len();
            pool.give(std::mem::take(&mut self.head));
        }
        let Some(tail) = &mut self.tail else { return };
        while let Some(front) = tail.segments.front_mut() {
            let before = front.bytes().len();
            if self.sent < before {
                if let Segment::Owned(bytes) = front {
                    compact(bytes, &mut self.sent);
                    tail.len -= before - bytes.len();
                }
                return;
            }
            self.sent -= before;
            tail.len -= before;
            if let Some(Segment::Owned(bytes)) = tail.segments.pop_front() {
                pool.give(bytes);
            }
        }
        self.tail = None;
    }

    /// Throws away everything unsent.
    pub fn clear(&mut self, pool: &mut Pool) {
        if self.head.capacity() > 0 {
            pool.give(std::mem::take(&mut self.head));
        }
        *self = Output::default();
    }
}

/// A stream that is never quite drained would grow its first segment for ever: when half of it has
/// been sent, the other half moves to the front.
fn compact(front: &mut Vec<u8>, sent: &mut usize) {
    if *sent >= POOL_BUFFER && *sent * 2 >= front.len() {
        front.drain(..*sent);
        *sent = 0;
    }
}

/// Empty buffers that wait for their next use, so that a request in the steady state allocates
/// nothing and an idle connection holds nothing.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
    /// Capacity of all of `free`.
    bytes: usize,
}

impl Pool {
    /// An empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        let buffer = self.free.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Takes a buffer back, whatever is in it.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0 && capacity <= POOL_BUFFER && self.bytes + capacity <= POOL_BYTES {
            buffer.clear();
            self.bytes += capacity;
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn front(output: &Output, budget: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
        let count = output.slices(budget, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn an_empty_output_owns_no_memory() {
        let (mut output, mut pool) = (Output::default(), Pool::default());
        output.push(b"hello", &mut pool);
        output.push_shared(&vec![7; SHARE_FROM].into(), &mut pool);
        output.advance(5 + SHARE_FROM, &mut pool);
        assert!(output.head.capacity() == 0 && output.tail.is_none() && output.is_empty());
    }

    #[test]
    fn a_stream_that_never_drains_does_not_grow() {
        let (mut output, mut pool) = (Output::default(), Pool::default());
        output.push(&[1; 1000], &mut pool);
        for _ in 0..10_000 {
            output.push(&[1; 1000], &mut pool);
            output.advance(1000, &mut pool);
        }
        assert!(output.head.capacity() < 8 * POOL_BUFFER, "{}", output.head.capacity());
    }

    #[test]
    fn a_stream_that_never_drains_does_not_grow_behind_a_shared_segment() {
        let (mut output, mut pool) = (Output::default(), Pool::default());
        output.push_shared(&vec![1; SHARE_FROM].into(), &mut pool);
        output.push(&[1; 1000], &mut pool);
        output.advance(SHARE_FROM, &mut pool);
        for _ in 0..10_000 {
            output.push(&[1; 1000], &mut pool);
            output.advance(1000, &mut pool);
        }
        let capacity: usize = output.segments().map(<[u8]>::len).sum();
        assert!(capacity < 8 * POOL_BUFFER, "{capacity}");
    }

    #[test]
    fn the_pool_keeps_no_giant_and_no_more_than_its_share() {
        let mut pool = Pool::default();
        pool.give(Vec::with_capacity(POOL_BUFFER + 1));
        assert!(pool.free.is_empty());
        for _ in 0..1000 {
            pool.give(Vec::with_capacity(POOL_BUFFER));
        }
        assert!(pool.bytes <= POOL_BYTES);
    }

    proptest! {
        /// Whatever is queued, in whatever pieces it leaves: the bytes are those of a plain Vec.
        #[test]
        fn sends_what_a_plain_vec_would(steps in proptest::collection::vec((0usize..3, 0usize..2000), 0..60)) {
            let (mut output, mut pool) = (Output::default(), Pool::default());
            let mut model: Vec<u8> = Vec::new();
            let mut next = 0u8;
            for (kind, size) in steps {
                let bytes: Vec<u8> = (0..size).map(|_| { next = next.wrapping_add(1); next }).collect();
                match kind {
                    0 => { output.push(&bytes, &mut pool); model.extend(&bytes); }
                    1 => { output.push_shared(&bytes.as_slice().into(), &mut pool); model.extend(&bytes); }
                    _ => {
                        let sent = front(&output, size);
                        prop_assert!(sent.len() <= size && model.starts_with(&sent));
                        prop_assert!(!sent.is_empty() || size == 0 || model.is_empty());
                        output.advance(sent.len(), &mut pool);
                        model.drain(..sent.len());
                    }
                }
                prop_assert_eq!(output.len(), model.len());
                prop_assert_eq!(output.to_vec(), model.clone());
            }
        }
    }
}
