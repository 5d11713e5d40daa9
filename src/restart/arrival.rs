//! How much a new program has of what it is to serve: in which order that comes, and when it is all. Pure.
//!
//! ```text
//!  Nothing -- Snapshot -> Snapshot -- Copied -> State -- Handed -> Everything
//!                          | Changes |           | Connections |
//! ```

/// What it has read, and taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Has {
    #[default]
    Nothing,
    /// The state as it was, and what has changed since, as far as that has come.
    Snapshot,
    /// All of the state.
    State,
    /// And the connections that move.
    Everything,
}

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    Snapshot,
    Changes,
    /// That was all of the state.
    Copied,
    Connections,
    /// That was all.
    Handed,
}

impl Has {
    /// What it has when it has taken in `piece`; `None` where that is out of turn, and something would be missing.
    pub fn with(self, piece: Piece) -> Option<Has> {
        match (self, piece) {
            (Has::Nothing, Piece::Snapshot) | (Has::Snapshot, Piece::Changes) => {
                Some(Has::Snapshot)
            }
            (Has::Snapshot, Piece::Copied) | (Has::State, Piece::Connections) => Some(Has::State),
            (Has::State, Piece::Handed) => Some(Has::Everything),
            _ => None,
        }
    }

    /// Whether it could serve, should the old side be gone. Connections that have not come are gone with that.
    pub fn may_serve(self) -> bool {
        matches!(self, Has::State | Has::Everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_snapshot_and_its_end_nothing_makes_it_whole() {
        use Piece::*;
        let pieces = [Snapshot, Changes, Copied, Connections, Handed];
        let mut ways = vec![(Has::Nothing, Vec::new())];
        for _ in 0..6 {
            for (has, way) in std::mem::take(&mut ways) {
                for piece in pieces {
                    let Some(next) = Has::with(has, piece) else { continue };
                    let way = [&way[..], &[piece]].concat();
                    let has_had = |piece| way.iter().filter(|it| **it == piece).count() == 1;
                    assert!(!next.may_serve() || has_had(Snapshot) && has_had(Copied), "{way:?}");
                    assert!(next != Has::Everything || way.last() == Some(&Handed), "{way:?}");
                    ways.push((next, way));
                }
            }
        }
        assert!(!ways.is_empty());
    }
}
