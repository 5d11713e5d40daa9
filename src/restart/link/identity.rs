//! Which generation a process is, as generations tell each other. Pure.

use super::wire::{Fields, Malformed, put, put_number};
use crate::plan::Engine;

/// Which generation a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub generation: u64,
    pub pid: u32,
    /// How it was made; `None` for one that was started by hand or by its supervisor.
    pub engine: Option<Engine>,
    /// Its program knows [words](super::Talk) between generations. An older one does not say.
    pub words: bool,
}

pub(super) const PID: u16 = 5;
/// The generation of the side that speaks, where `GENERATION` is the other one's.
pub(super) const OWN_GENERATION: u16 = 14;
const OWN_ENGINE: u16 = 15;
const KNOWS_WORDS: u16 = 42;

impl Identity {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_number(out, OWN_GENERATION, self.generation);
        put_number(out, PID, u64::from(self.pid));
        self.engine.iter().for_each(|engine| put(out, OWN_ENGINE, &[*engine as u8]));
        if self.words {
            put(out, KNOWS_WORDS, &[]);
        }
    }

    pub(super) fn of(fields: Fields<'_>) -> Result<Identity, Malformed> {
        Ok(Identity {
            generation: fields.number(OWN_GENERATION, "own generation")?,
            pid: process_id(fields, PID, "pid")?,
            engine: fields.maybe(OWN_ENGINE, "own engine")?.map(engine).transpose()?,
            words: fields.maybe(KNOWS_WORDS, "words")?.is_some(),
        })
    }
}

pub(super) fn engine(bytes: &[u8]) -> Result<Engine, Malformed> {
    match bytes {
        [0] => Ok(Engine::Fork),
        [1] => Ok(Engine::ForkExec),
        _ => Err(Malformed::Field("engine")),
    }
}

pub(super) fn process_id(
    fields: Fields<'_>,
    tag: u16,
    name: &'static str,
) -> Result<u32, Malformed> {
    fields.number(tag, name)?.try_into().map_err(|_| Malformed::Field(name))
}
