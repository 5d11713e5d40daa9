//! Output that several connections wait for, such as what a hundred slow subscribers were sent: it is written
//! down once, and each of them refers to it. Pure: outputs to parts of records and back.
//!
//! ```text
//!  old                                       new
//!  A: own, #1 from byte 700                  #1 comes with A's record: kept, and queued to A
//!  B: #1, own                                B's record has its number: the same memory is queued to B
//! ```
//!
//! A program that reads records of [version](super::record::VERSION) 1 knows of no numbers: it gets a copy in
//! each record, as it always has.

use std::{collections::BTreeMap, rc::Rc};

use super::record::{Part, SHARES_FROM};
use crate::{
    buffer::{Output, Piece},
    limits::SHARE_FROM,
    restart::link::wire::Malformed,
};

/// On the old side: the buffers that more than one of the connections that move have queued. With none in
/// it, all output is written down where it belongs.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    /// By where they are, which is their own as long as they are held here.
    buffers: BTreeMap<usize, Shared>,
}

#[derive(Debug)]
struct Shared {
    number: u64,
    bytes: Rc<[u8]>,
    /// What everybody has been sent of it does not go along.
    from: usize,
    /// How often it is queued.
    uses: usize,
    is_written: bool,
}

fn place(bytes: &Rc<[u8]>) -> usize {
    bytes.as_ptr() as usize
}

impl Sharing {
    /// What these have in common, for a program that reads records of this `version`: nothing, if it is to be
    /// sent copies.
    pub fn of<'a>(version: u64, outputs: impl Iterator<Item = &'a Output>) -> Sharing {
        if version < SHARES_FROM {
            return Sharing::default();
        }
        let mut buffers = BTreeMap::new();
        for piece in outputs.flat_map(Output::pieces) {
            let Piece::Shared(bytes, sent) = piece else { continue };
            let number = buffers.len() as u64;
            let new = || Shared {
                number,
                bytes: Rc::clone(bytes),
                from: sent,
                uses: 0,
                is_written: false,
            };
            let shared: &mut Shared = buffers.entry(place(bytes)).or_insert_with(new);
            shared.from = shared.from.min(sent);
            shared.uses += 1;
        }
        buffers.retain(|_, it| it.uses > 1 && it.bytes.len() - it.from >= SHARE_FROM);
        Sharing { buffers }
    }

    /// How many bytes go along for an output by now: those of a buffer that was written down already do not.
    pub fn cost(&self, output: &Output) -> usize {
        let mut new = Vec::new();
        let cost = |piece: Piece<'_>| match self.find(&piece) {
            Some((at, shared)) if shared.is_written || new.contains(&at) => 0,
            Some((at, shared)) => {
                new.push(at);
                shared.bytes.len() - shared.from
            }
            None => piece.bytes().len(),
        };
        output.pieces().map(cost).sum()
    }

    /// The same, where all who have a buffer bear a part of it.
    pub fn part_of_cost(&self, output: &Output) -> usize {
        let part = |piece: Piece<'_>| match self.find(&piece) {
            Some((_, shared)) => (shared.bytes.len() - shared.from) / shared.uses,
            None => piece.bytes().len(),
        };
        output.pieces().map(part).sum()
    }

    /// Writes an output down; the first one that has a buffer brings it.
    pub fn write(&mut self, output: &Output) -> Vec<Part> {
        let mut parts = Vec::new();
        for piece in output.pieces() {
            let Some((at, _)) = self.find(&piece) else {
                match parts.last_mut() {
                    // One field, since a program that knows no other parts takes the last one for all.
                    Some(Part::Own(own)) => own.extend_from_slice(piece.bytes()),
                    _ => parts.push(Part::Own(piece.bytes().to_vec())),
                }
                continue;
            };
            let (Some(shared), Piece::Shared(_, sent)) = (self.buffers.get_mut(&at), piece) else {
                continue;
            };
            if !std::mem::replace(&mut shared.is_written, true) {
                parts.push(Part::New { number: shared.number, bytes: shared.rest() });
            }
            let sent = (sent - shared.from) as u64;
            parts.push(Part::Shared { number: shared.number, sent });
        }
        parts
    }

    fn find(&self, piece: &Piece<'_>) -> Option<(usize, &Shared)> {
        let Piece::Shared(bytes, _) = piece else { return None };
        let at = place(bytes);
        self.buffers.get(&at).map(|shared| (at, shared))
    }
}

impl Shared {
    /// What goes along of it.
    fn rest(&self) -> Rc<[u8]> {
        match self.from {
            0 => Rc::clone(&self.bytes),
            from => self.bytes[from..].into(),
        }
    }
}

/// On the new side: the buffers that have come.
#[derive(Debug, Default)]
pub(crate) struct SharedBuffers(BTreeMap<u64, Rc<[u8]>>);

impl SharedBuffers {
    /// The output again. Who shared a buffer shares it here.
    ///
    /// # Errors
    /// When it refers to what has not come, or a number comes twice.
    pub fn read(&mut self, parts: Vec<Part>) -> Result<Output, Malformed> {
        let (mut output, mut pool) = (Output::default(), Default::default());
        for part in parts {
            match part {
                Part::Own(own) => output.push(&own, &mut pool),
                Part::New { number, bytes } => {
                    if self.0.insert(number, bytes).is_some() {
                        return Err(Malformed::Field("two shared buffers of one number"));
                    }
                }
                Part::Shared { number, sent } => {
                    let unknown = Malformed::Field("output of a shared buffer that has not come");
                    let bytes = self.0.get(&number).ok_or(unknown)?;
                    let sent = usize::try_from(sent).unwrap_or(usize::MAX);
                    if sent > bytes.len() || (sent > 0 && !output.is_empty()) {
                        return Err(Malformed::Field(
                            "output of a part that a shared buffer has not",
                        ));
                    }
                    output.push_shared(bytes, &mut pool);
                    output.advance(sent, &mut pool);
                }
            }
        }
        Ok(output)
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
