//! Pages under numbers: a state of any size, which changes on request and, with `LAB_TRACK=1`, is copied while
//! it does. Knows no connection.
//!
//! ```text
//! page = number u64  length u32  bytes                        (both in a snapshot and in a piece of changes)
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, Write},
    thread,
    time::Duration,
};

use heirloom::Result;

use crate::{requests::number, settings};

#[derive(Default)]
pub struct Book {
    pages: BTreeMap<u64, Vec<u8>>,
    /// Which have changed, while that is noted.
    changed: Option<BTreeSet<u64>>,
}

/// The page that says how often the changes have begun to be noted, which is a change itself.
const COPIES: u64 = u64::MAX;

impl Book {
    /// A request and its answer; `None`: it is none of these.
    pub fn handle(&mut self, verb: &str, rest: &str) -> Result<Option<String>> {
        Ok(Some(match verb {
            "fill" => {
                let (count, size) = rest.split_once(' ').ok_or("fill: how many, how long")?;
                let (count, size): (u64, usize) = (number(count)?, number(size)?);
                for page in 0..count {
                    self.put(page, vec![page as u8; size]);
                }
                "ok".to_owned()
            }
            "write" => {
                let (page, text) = rest.split_once(' ').ok_or("write: where, what")?;
                self.put(number(page)?, text.as_bytes().to_vec());
                "ok".to_owned()
            }
            "page" => {
                let page = self.pages.get(&number(rest)?);
                page.map_or_else(String::new, |page| String::from_utf8_lossy(page).into_owned())
            }
            "pages" => self.pages.len().to_string(),
            "copies" => self.copies().to_string(),
            "tracks" => self.changed.is_some().to_string(),
            _ => return Ok(None),
        }))
    }

    fn put(&mut self, page: u64, bytes: Vec<u8>) {
        self.pages.insert(page, bytes);
        if let Some(changed) = &mut self.changed {
            changed.insert(page);
        }
    }

    fn copies(&self) -> u64 {
        let page = self.pages.get(&COPIES);
        page.and_then(|page| Some(u64::from_le_bytes(page.as_slice().try_into().ok()?)))
            .unwrap_or(0)
    }

    pub fn track(&mut self, on: bool) -> bool {
        if settings::setting::<u8>("TRACK").is_none() {
            return false;
        }
        self.changed = on.then(BTreeSet::new);
        if on {
            self.put(COPIES, (self.copies() + 1).to_le_bytes().to_vec());
        }
        true
    }

    pub fn save(&self, out: &mut dyn Write) -> Result {
        let pause = settings::told_time("save_page");
        for (&page, bytes) in &self.pages {
            write(out, page, bytes)?;
            pause.iter().for_each(|&time| thread::sleep(time));
        }
        Ok(())
    }

    pub fn load(&mut self, saved: &mut dyn BufRead, pause: Option<Duration>) -> Result {
        while !saved.fill_buf()?.is_empty() {
            let (mut page, mut length) = ([0; 8], [0; 4]);
            saved.read_exact(&mut page)?;
            saved.read_exact(&mut length)?;
            let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
            saved.read_exact(&mut bytes)?;
            self.pages.insert(u64::from_le_bytes(page), bytes);
            pause.iter().for_each(|&time| thread::sleep(time));
        }
        Ok(())
    }

    pub fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        let Some(changed) = &mut self.changed else { return Ok(0) };
        for _ in 0..most {
            let Some(page) = changed.pop_first() else { break };
            write(out, page, &self.pages[&page])?;
        }
        Ok(changed.len())
    }
}

fn write(out: &mut dyn Write, page: u64, bytes: &[u8]) -> Result {
    out.write_all(&page.to_le_bytes())?;
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(bytes)?;
    Ok(())
}
