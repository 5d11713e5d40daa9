//! What lab remembers of a connection and of everything, and both written down in three formats. Pure.
//!
//! ```text
//! written = version u8  (tag u8  length u32  value)*
//! ```
//!
//! The file that `LAB_FORMAT` names says which version of the program this is. Version 2 has a field more
//! than version 1; each skips what it does not know, so they go together. Version 3 reads both, and neither
//! reads version 3.

use std::{collections::BTreeMap, env, fs, sync::OnceLock};

use heirloom::{ConnId, Result};

use crate::{
    claims::{self, Claim},
    keys::{self, Keys},
    witness::Witness,
};

/// What one connection must remember.
#[derive(Debug, Default)]
pub struct Session {
    /// Bytes still to be sent, a piece whenever the output has room.
    pub left: u64,
    /// Of how many, and which: of a pattern, or one letter.
    pub of: u64,
    pub seed: Option<u64>,
    /// What is done with it at a restart.
    pub fate: Fate,
    /// It outlives the peer's FIN.
    pub outlives_eof: bool,
    /// Known to version 2.
    pub note: Vec<u8>,
    /// Who it is.
    pub claim: Claim,
    /// By which listener it came. No other process is told.
    pub listener: Option<usize>,
    /// Tells when the session is dropped.
    #[expect(dead_code, reason = "what it does is done by its destructor")]
    pub witness: Witness,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Move,
    /// `on_move` lets it stay.
    Stay,
    /// `export` answers `None`.
    NoExport,
    /// The next program does not import it.
    NoImport,
}

/// What all connections share, as far as it is told to the next program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Who waits for an answer to come.
    pub waiting: BTreeMap<u64, ConnId>,
    /// A connection that somebody wants to find again.
    pub kept: Option<ConnId>,
    pub fails: Fails,
    /// What clients have put here.
    pub keys: Keys,
}

/// What goes wrong on request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fails {
    #[default]
    Nothing,
    Save,
    Load,
}

const VERSIONS: std::ops::RangeInclusive<u8> = 1..=3;

/// Of this program, for as long as it runs.
pub fn version() -> u8 {
    static VERSION: OnceLock<u8> = OnceLock::new();
    let told = || fs::read_to_string(env::var_os("LAB_FORMAT")?).ok()?.trim().parse().ok();
    *VERSION.get_or_init(|| told().filter(|version| VERSIONS.contains(version)).unwrap_or(1))
}

// Tags are never given a second meaning.
const LEFT: u8 = 1;
const OF: u8 = 2;
const SEED: u8 = 3;
const NO_IMPORT: u8 = 4;
const OUTLIVES_EOF: u8 = 5;
const NOTE: u8 = 6;
const WAITING: u8 = 7;
const KEPT: u8 = 8;
const NO_LOAD: u8 = 9;

impl Session {
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![version()];
        put(&mut out, LEFT, &self.left.to_le_bytes());
        put(&mut out, OF, &self.of.to_le_bytes());
        self.seed.iter().for_each(|seed| put(&mut out, SEED, &seed.to_le_bytes()));
        if self.fate == Fate::NoImport {
            put(&mut out, NO_IMPORT, b"");
        }
        if self.outlives_eof {
            put(&mut out, OUTLIVES_EOF, b"");
        }
        if version() > 1 {
            put(&mut out, NOTE, &self.note);
        }
        self.claim.write(&mut out);
        out
    }

    pub fn read(saved: &[u8]) -> Result<Session> {
        let mut session = Session::default();
        for (tag, value) in fields(saved)? {
            match tag {
                LEFT => session.left = number(value)?,
                OF => session.of = number(value)?,
                SEED => session.seed = Some(number(value)?),
                NO_IMPORT => return Err("lab: not imported, as told".into()),
                OUTLIVES_EOF => session.outlives_eof = true,
                NOTE if version() > 1 => session.note = value.to_vec(),
                claims::CLAIM => session.claim = Claim::read(value),
                _ => {}
            }
        }
        Ok(session)
    }
}

impl State {
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut out = vec![version()];
        for (key, id) in &self.waiting {
            put(&mut out, WAITING, &[key.to_le_bytes(), id.to_bits().to_le_bytes()].concat());
        }
        self.kept.iter().for_each(|id| put(&mut out, KEPT, &id.to_bits().to_le_bytes()));
        self.keys.write(&mut out);
        match self.fails {
            Fails::Save => return Err("lab: not saved, as told".into()),
            Fails::Load => put(&mut out, NO_LOAD, b""),
            Fails::Nothing => {}
        }
        Ok(out)
    }

    pub fn read(saved: &[u8]) -> Result<State> {
        let mut state = State::default();
        for (tag, value) in fields(saved)? {
            match tag {
                WAITING => {
                    let (key, id) = value.split_at_checked(8).ok_or("not somebody who waits")?;
                    state.waiting.insert(number(key)?, ConnId::from_bits(number(id)?));
                }
                KEPT => state.kept = Some(ConnId::from_bits(number(value)?)),
                NO_LOAD => return Err("lab: not loaded, as told".into()),
                keys::PAIR => state.keys.read(value)?,
                _ => {}
            }
        }
        Ok(state)
    }
}

pub fn put(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(value);
}

/// All fields, if this program knows their version.
pub fn fields(saved: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let (&written, mut rest) = saved.split_first().ok_or("nothing was written")?;
    if written > version().max(2) {
        return Err(format!("written in format {written}, read by {}", version()).into());
    }
    let mut fields = Vec::new();
    while let Some((&tag, more)) = rest.split_first() {
        let field = more
            .split_first_chunk::<4>()
            .and_then(|(length, more)| more.split_at_checked(u32::from_le_bytes(*length) as usize));
        let (value, more) = field.ok_or("a field that is cut short")?;
        fields.push((tag, value));
        rest = more;
    }
    Ok(fields)
}

fn number(value: &[u8]) -> Result<u64> {
    Ok(u64::from_le_bytes(value.try_into().map_err(|_| "not a number of 8 bytes")?))
}
