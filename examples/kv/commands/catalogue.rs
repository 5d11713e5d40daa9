//! COMMAND, and the HELP of the commands with subcommands: what the table says.

use super::{
    Answer, Call, Capitals,
    table::{self, ADMIN, READ, Spec, WRITE},
};

/// COMMAND: all of them.
pub fn command(call: &mut Call<'_, '_>) -> Answer {
    call.out.array(table::commands().count());
    table::commands().for_each(|spec| describe(call, spec));
    Ok(())
}

pub fn count(call: &mut Call<'_, '_>) -> Answer {
    call.out.int(table::commands().count() as i64);
    Ok(())
}

pub fn list(call: &mut Call<'_, '_>) -> Answer {
    let names: Vec<_> = table::commands().map(Spec::lower_name).collect();
    call.out.bulks(&names);
    Ok(())
}

/// No texts are kept here; redis-cli then does without.
pub fn docs(call: &mut Call<'_, '_>) -> Answer {
    call.out.map(0);
    Ok(())
}

/// Of those that are named, or of all.
pub fn info(call: &mut Call<'_, '_>) -> Answer {
    let names = call.args.from(2);
    if names.len() == 0 {
        return command(call);
    }
    call.out.array(names.len());
    for name in names {
        match table::named(name) {
            Some(spec) => describe(call, spec),
            None => call.out.null(),
        }
    }
    Ok(())
}

/// Name, arity, flags, where the keys are; and four lists that are empty here: categories, tips, key
/// specifications, subcommands.
fn describe(call: &mut Call<'_, '_>, spec: &Spec) {
    let flags = [(READ, "readonly"), (WRITE, "write"), (ADMIN, "admin")];
    let flags: Vec<_> = flags.into_iter().filter(|&(flag, _)| spec.is(flag)).collect();
    call.out.array(10);
    call.out.bulk(spec.lower_name().as_bytes());
    call.out.int(spec.arity.into());
    call.out.set(flags.len());
    flags.iter().for_each(|(_, name)| call.out.simple(name));
    spec.keys.iter().for_each(|&place| call.out.int(place));
    call.out.set(0);
    (0..3).for_each(|_| call.out.array(0));
}

/// Which subcommands there are.
pub fn help(call: &mut Call<'_, '_>) -> Answer {
    let name = Capitals::of(call.args.at(0));
    let shown = String::from_utf8_lossy(name.as_bytes());
    let head = format!("{shown} <subcommand> [<arg> ...]. Subcommands are:");
    let names: Vec<_> = table::subcommands(name.as_bytes()).map(String::from_utf8_lossy).collect();
    call.out.array(1 + names.len());
    call.out.simple(&head);
    names.iter().for_each(|name| call.out.simple(name));
    Ok(())
}
