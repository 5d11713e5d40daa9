//! How far a worker is in its life, and who it talks with. Plain values.

/// How far this process is in its life as a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Fetches jobs.
    Serving,
    /// Fetches no more, and does what it has.
    Finishing,
    /// Has nothing left, and takes its name out of the group.
    Tidying,
    /// Is no worker any more.
    Left,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Operator,
    /// Redis, by the number of the line.
    Redis(u64),
}
