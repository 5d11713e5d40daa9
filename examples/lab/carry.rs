//! What the lab knows, written down for the next program and read again: all of it, and what has changed. What goes
//! wrong with that is not said here.

use std::io::{BufRead, Write};

use heirloom::Result;

use crate::{Lab, session::State, settings};

impl Lab {
    /// The length of what `State` is written down as, that, and the pages of the book.
    pub fn write(&self, out: &mut dyn Write) -> Result {
        let state = self.state.write()?;
        out.write_all(&(state.len() as u32).to_le_bytes())?;
        out.write_all(&state)?;
        self.book.save(out)
    }

    pub fn read(&mut self, saved: &mut dyn BufRead) -> Result {
        self.state = State::read(&read_block(saved)?)?;
        self.book.load(saved, settings::told_time("load_page"))
    }

    /// The length of what the keys are written down as, that, and pages of the book.
    pub fn write_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        let waiting = self.state.keys.count_changed();
        let (keys, left) = self.state.keys.write_changes(most);
        let (mut pages, most) = (Vec::new(), most.saturating_sub(waiting - left));
        let left = left + self.book.save_changes(&mut pages, most)?;
        if !keys.is_empty() || !pages.is_empty() {
            out.write_all(&(keys.len() as u32).to_le_bytes())?;
            out.write_all(&keys)?;
            out.write_all(&pages)?;
        }
        Ok(left)
    }

    pub fn read_changes(&mut self, saved: &mut dyn BufRead) -> Result {
        let keys = read_block(saved)?;
        if !keys.is_empty() {
            self.state.keys.read_changes(&keys)?;
        }
        self.book.load(saved, None)
    }
}

/// A length, and so many bytes.
fn read_block(saved: &mut dyn BufRead) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    saved.read_exact(&mut length)?;
    let mut block = vec![0; u32::from_le_bytes(length) as usize];
    saved.read_exact(&mut block)?;
    Ok(block)
}
