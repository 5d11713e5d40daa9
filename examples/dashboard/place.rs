//! Which process is meant: a generation, and of which worker where there are several. Pure.

use std::{fmt, str::FromStr};

use heirloom::Net;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub worker: Option<u32>,
    pub generation: u64,
}

impl Place {
    /// Of this process.
    pub fn of(net: &Net) -> Place {
        Place { worker: net.worker().map(|worker| worker.index), generation: net.generation() }
    }

    /// At the beginning of a sentence.
    pub fn title(self) -> String {
        let Place { worker, generation } = self;
        match worker {
            Some(worker) => format!("Worker {worker}, generation {generation}"),
            None => format!("Generation {generation}"),
        }
    }
}

/// As it goes over the wire and into the picture: `3`, or `1.3` of worker 1.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.worker {
            Some(worker) => write!(f, "{worker}.{}", self.generation),
            None => write!(f, "{}", self.generation),
        }
    }
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Place, Self::Err> {
        Ok(match text.split_once('.') {
            Some((worker, generation)) => {
                Place { worker: Some(worker.parse()?), generation: generation.parse()? }
            }
            None => Place { worker: None, generation: text.parse()? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        for place in
            [Place { worker: None, generation: 3 }, Place { worker: Some(1), generation: 12 }]
        {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        assert!("1.".parse::<Place>().is_err() && "".parse::<Place>().is_err());
    }
}
