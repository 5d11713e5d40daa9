//! What is made from the description of the command line beside help: completions for shells, and pages for `man(1)`.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory};
use clap_complete::{
    generate,
    shells::{Bash, Fish, Zsh},
};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{
    command_line::{CONTROL, Line, Shell},
    exit::Exit,
};

/// When the pages have changed last, as far as a reader would notice.
const DATE: &str = "2026-11-29";

/// What this shell reads to complete the command line.
pub fn completions(shell: Shell) -> String {
    let (mut description, mut script) = (Line::command(), Vec::new());
    match shell {
        Shell::Bash => generate(Bash, &mut description, "heirloom", &mut script),
        Shell::Zsh => generate(Zsh, &mut description, "heirloom", &mut script),
        Shell::Fish => generate(Fish, &mut description, "heirloom", &mut script),
    }
    String::from_utf8_lossy(&script).into_owned()
}

/// The page of a command; without a name, that of the program.
///
/// # Errors
/// When there is no such command.
pub fn page(name: Option<&str>) -> Result<String, String> {
    let program = described();
    let found = match name {
        None => &program,
        Some(name) => {
            program.find_subcommand(name).ok_or_else(|| format!("man: {name:?} is no command"))?
        }
    };
    render(found).map_err(|e| format!("man: {e}"))
}

/// All pages, into a folder; their names, each on a line.
///
/// # Errors
/// When one cannot be written.
pub fn pages(folder: &Path) -> Result<String, String> {
    let program = described();
    let mut names = String::new();
    for command in [&program].into_iter().chain(program.get_subcommands()) {
        let name = format!("{}.1", command.get_display_name().unwrap_or(command.get_name()));
        let path = folder.join(&name);
        let written = render(command).and_then(|page| fs::write(&path, page));
        written.map_err(|e| format!("man: write {}: {e}", path.display()))?;
        names += &format!("{name}\n");
    }
    Ok(names)
}

fn described() -> Command {
    let mut program = Line::command();
    program.build();
    program
}

fn render(command: &Command) -> io::Result<String> {
    let source = concat!("heirloom ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).date(DATE).source(source).manual("heirloom");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut end = Roff::new();
    if command.get_arguments().any(|arg| arg.get_id() == "control") {
        end.control("SH", ["ENVIRONMENT"]);
        end.control("TP", []).text([bold(CONTROL)]).text([roman("Stands in for --control.")]);
    }
    end.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        end.control("TP", []).text([bold(exit.number().to_string())]).text([roman(exit.meaning())]);
    }
    if !command.has_subcommands() {
        end.control("SH", ["SEE ALSO"]).text([bold("heirloom"), roman("(1)")]);
    }
    end.to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
