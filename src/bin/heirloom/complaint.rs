//! What is wrong with a command line, in one line, with a hint.

use std::{error::Error as _, ffi::OsString};

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// As this program says it.
pub fn of(error: &Error, description: &Command, words: &[OsString]) -> String {
    let command = meant(description, words);
    let (label, page) = match command {
        Some(name) => (format!("{name}: "), format!("{name} --help")),
        None => (String::new(), "--help".to_owned()),
    };
    format!("{label}{} (see heirloom {page})", what(error, description))
}

/// The command whose options these are.
fn meant<'a>(description: &'a Command, words: &[OsString]) -> Option<&'a str> {
    let names = || description.get_subcommands().map(Command::get_name);
    words.iter().skip(1).find_map(|word| names().find(|name| word == name))
}

fn what(error: &Error, description: &Command) -> String {
    let all = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.as_str()],
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let first = |kind| all(kind).first().copied().unwrap_or_default();
    let option = name(first(ContextKind::InvalidArg));
    let value = first(ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{option}: {why}")
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("{option}: a value is missing"),
        ErrorKind::InvalidValue => {
            let known = all(ContextKind::ValidValue).join(", ");
            format!("{option}: {value:?} is none of {known}")
        }
        ErrorKind::UnknownArgument if option.starts_with('-') => {
            let likely = suggestion(first(ContextKind::SuggestedArg));
            format!("invalid option '{option}'{}{likely}", owners(description, option))
        }
        ErrorKind::UnknownArgument => format!("unexpected argument {option:?}"),
        ErrorKind::InvalidSubcommand => {
            let likely = suggestion(first(ContextKind::SuggestedSubcommand));
            format!("{:?} is no command{likely}", first(ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingSubcommand => {
            format!("no command is given: {}", all(ContextKind::ValidSubcommand).join(", "))
        }
        ErrorKind::MissingRequiredArgument => {
            format!("{option} is missing")
        }
        ErrorKind::ArgumentConflict => {
            format!("{option} and {} exclude each other", name(first(ContextKind::PriorArg)))
        }
        _ => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// What an option is called: of `--held <N>` the first word; of `<SHELL>`, which has none, its value.
fn name(usage: &str) -> &str {
    let first = usage.split(' ').next().unwrap_or_default();
    first.trim_matches(['<', '>', '[', ']'])
}

fn suggestion(likely: &str) -> String {
    if likely.is_empty() { String::new() } else { format!("; is {likely} meant?") }
}

/// The commands that have such an option, where another one has not.
fn owners(description: &Command, option: &str) -> String {
    let long = option.trim_start_matches('-');
    let has_it =
        |command: &&Command| command.get_arguments().any(|arg| arg.get_long() == Some(long));
    let owners = description.get_subcommands().filter(has_it).map(Command::get_name);
    match owners.collect::<Vec<_>>().join(", ") {
        owners if owners.is_empty() => owners,
        owners => format!(": it goes with {owners}"),
    }
}
