//! Who else has this process's heap. After a fork both sides have it, page by page, until one of them writes.
//! Pure: knows process ids and no process.

/// The processes that may have this one's heap as well, since one was made from the other by fork.
///
/// What they share is not this process's to destroy: each page that a destructor writes to is copied, and
/// what it says it says on the other one's behalf.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::turn) struct SharedHeap {
    /// This process was made by fork. Its parent may live, or others that this one has never heard of.
    is_inherited: bool,
    /// Those that this process has forked and that have not ended.
    children: Vec<u32>,
    /// A child has stayed, and may have forked others by now.
    has_heirs: bool,
}

impl SharedHeap {
    /// Of a process that was made by fork.
    pub fn inherited() -> SharedHeap {
        SharedHeap { is_inherited: true, ..SharedHeap::default() }
    }

    /// A child was forked, which serves nobody yet.
    pub fn forked(&mut self, pid: u32) {
        self.children.push(pid);
    }

    /// A child stays: from here on it may fork as well. One that was not forked has nothing of this heap.
    pub fn stays(&mut self, pid: u32) {
        self.has_heirs |= self.children.contains(&pid);
    }

    /// A child has ended, and was reaped.
    pub fn ended(&mut self, pid: u32) {
        self.children.retain(|&child| child != pid);
    }

    /// Whether another process has, or may have, what is on this one's heap.
    pub fn is_shared(&self) -> bool {
        self.is_inherited || self.has_heirs || !self.children.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_is_shared_as_long_as_a_child_lives() {
        let mut heap = SharedHeap::default();
        assert!(!heap.is_shared());
        heap.forked(7);
        heap.forked(8);
        heap.ended(7);
        assert!(heap.is_shared());
        heap.ended(8);
        assert_eq!(heap, SharedHeap::default(), "what came to nothing has left nothing");
    }

    #[test]
    fn who_has_served_may_have_forked_and_who_was_not_forked_shares_nothing() {
        let mut heap = SharedHeap::default();
        heap.stays(7); // a new program
        heap.ended(7);
        assert!(!heap.is_shared());
        heap.forked(8);
        heap.stays(8);
        heap.ended(8);
        assert!(heap.is_shared());
    }

    #[test]
    fn a_child_shares_it_whatever_becomes_of_its_parent() {
        let mut heap = SharedHeap::inherited();
        heap.ended(1);
        assert!(heap.is_shared());
    }
}
