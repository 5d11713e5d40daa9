//! How the program ends, for whoever has started it: the one table of exit statuses. `--help`, the man pages and the guide
//! say what is here.

use std::process::ExitCode;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Refused = 1,
    Unasked = 2,
    Late = 3,
    Gone = 4,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Exit; 5] = [Exit::Done, Exit::Refused, Exit::Unasked, Exit::Late, Exit::Gone];

    pub fn number(self) -> u8 {
        self as u8
    }

    /// When it is this one, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "it was done; of a trial: nobody has noticed",
            Exit::Refused => {
                "the server refused or failed; of a check: a restart would be refused; of a trial: somebody has noticed"
            }
            Exit::Unasked => {
                "it could not be asked, done or shown: a wrong command line, no server, or one that says nothing"
            }
            Exit::Late => "of a wait: its time was over first",
            Exit::Gone => "of a wait: no server is there, or none any more",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.number())
    }
}

/// As `--help` shows it.
pub fn table() -> String {
    let row = |exit: Exit| format!("\n  {}  {}", exit.number(), exit.meaning());
    Exit::ALL.into_iter().fold("Exit status:".to_owned(), |table, exit| table + &row(exit))
}
