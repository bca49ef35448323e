//! ACL: users and what they may do. Users are `tenon-acl`'s, what they mean to sessions is in `crate::access`.
//! Always: no reply and no log line holds a password; whoever is removed is logged out at once.

pub(crate) mod log;
mod table;

pub(super) use table::COMMANDS;

use std::path::Path;

use tenon_acl::{Change, Denied, Selector};
use tenon_base::describe;
use tenon_commands::{Categories, CommandError, Outcome};
use tenon_config::Directive;
use tenon_resp::{Args, Reply};

use super::ServerContext;
use super::config::replace_file;
use crate::access::{request, sentence};
use crate::engine::Engine;
use crate::settings::directory;

/// The longest password that GENPASS makes.
const PASSWORD_BITS_MAX: i64 = 4096;
/// And the usual one.
const PASSWORD_BITS: i64 = 256;

fn categories(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let Some(word) = args.try_get(2) else {
        let mut reply = context.reply();
        reply.array(Categories::NAMES.len());
        Categories::NAMES.iter().for_each(|(_, name)| reply.bulk(name.as_bytes()));
        return Ok(());
    };
    if args.len() > 3 {
        return Err(subcommand_syntax(args));
    }
    let is_it = |known: &&(Categories, &str)| known.1.as_bytes().eq_ignore_ascii_case(word);
    let Some((category, _)) = Categories::NAMES.iter().find(is_it) else {
        return Err(quoting("ERR Unknown category '", word, "'"));
    };
    let (mut reply, table) = context.reply_and_commands();
    let deferred = reply.defer_array();
    let mut count = 0;
    for command in table.ids().map(|id| &table[id]).filter(|command| command.categories.has(*category)) {
        reply.bulk(command.full_name.as_bytes());
        count += 1;
    }
    reply.finish(deferred, count);
    Ok(())
}

fn delete(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let names = args.rest(2);
    if names.iter().any(|name| name == b"default") {
        return Err(CommandError::text("ERR The 'default' user cannot be removed"));
    }
    let users = &mut context.engine.users;
    let removed: Vec<_> = names.iter().filter_map(|name| users.remove(name)).collect();
    context.reply().integer(removed.len() as i64);
    let change = Change { removed, ..Change::default() };
    context.engine.users_changed(&change, context.connection, context.world);
    Ok(())
}

/// Says whether a user might run a request.
fn dry_run(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let (name, asked) = (args.get(2), args.rest(3));
    let engine = &*context.engine;
    let user = engine.users.find(name).ok_or_else(|| quoting("ERR User '", name, "' not found"))?;
    let table = &engine.commands;
    let found = table.find(asked.get(0)).and_then(|id| match asked.try_get(1) {
        Some(word) if !table[id].subcommands.is_empty() => table.find_subcommand(id, word),
        _ => Some(id),
    });
    let id = found.ok_or_else(|| quoting("ERR Command '", asked.get(0), "' not found"))?;
    let command = &table[id];
    if !command.accepts(asked.len()) {
        return Err(CommandError::arity(&command.full_name));
    }
    let refusal = engine.users[user].check(&request(command, id, asked)).err().map(|denied| {
        let object = match denied {
            Denied::Command => None,
            Denied::Key(at) | Denied::Channel(at) => Some(asked.get(at)),
        };
        sentence(denied, name, &command.full_name, object)
    });
    match refusal {
        None => context.reply().ok(),
        Some(sentence) => context.reply().bulk(sentence.as_bytes()),
    }
    Ok(())
}

fn make_password(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let bits = match args.len() {
        2 => PASSWORD_BITS,
        3 => tenon_resp::parse_integer(args.get(2)).ok_or(CommandError::NotInteger)?,
        _ => return Err(subcommand_syntax(args)),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(CommandError::text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let password = context.engine.passwords.make((bits as usize).div_ceil(4));
    context.reply().bulk(password.as_bytes());
    Ok(())
}

fn show(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let session = context.engine.sessions.get(context.connection).expect("a request comes from a session");
    let mut reply = Reply::new(context.world.outputs.writer(context.connection), session.proto);
    let users = &context.engine.users;
    let Some(user) = users.find(args.get(2)).map(|id| &users[id]) else {
        reply.null();
        return Ok(());
    };
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.password_hashes().len());
    user.password_hashes().for_each(|hash| reply.bulk(hash.as_bytes()));
    write_selector(&mut reply, user.own());
    reply.bulk(b"selectors");
    reply.array(user.others().len());
    for selector in user.others() {
        reply.map(3);
        write_selector(&mut reply, selector);
    }
    Ok(())
}

fn write_selector(reply: &mut Reply<'_>, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(&selector.command_rules().join(&b' '));
    reply.bulk(b"keys");
    reply.bulk(&selector.key_rules().join(&b' '));
    reply.bulk(b"channels");
    reply.bulk(&selector.channel_rules().join(&b' '));
}

fn list(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let lines: Vec<Vec<u8>> = context.engine.users.lines().collect();
    let mut reply = context.reply();
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.bulk(line));
    Ok(())
}

fn load(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    needs_file(context.engine)?;
    let loaded = context.engine.load_users(context.world);
    let change = loaded.map_err(|errors| CommandError::Text(format!("ERR {errors}").into()))?;
    context.reply().ok();
    context.engine.users_changed(&change, context.connection, context.world);
    Ok(())
}

fn save(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    needs_file(context.engine)?;
    let engine = &mut *context.engine;
    let path = directory(&engine.config).join(&*engine.config.text_lossy(Directive::AclFile));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".tmp-{}", engine.dice.hex(8)));
    let temporary = Path::new(&temporary);
    if let Err(error) = replace_file(&path, temporary, &engine.users.file_text(), context.world.disk) {
        // It may not be there, and is of no use if it is.
        let _ = context.world.disk.remove(temporary);
        tracing::warn!("ACL SAVE failed: {}", describe(&error));
        return Err(CommandError::text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    context.reply().ok();
    Ok(())
}

fn needs_file(engine: &Engine) -> Outcome {
    if !engine.config.text(Directive::AclFile).is_empty() {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL \
         SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order \
         to store users in the Redis configuration.",
    ))
}

fn set_user(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let changed = context.engine.users.set_user(args.get(2), args.rest(3).iter());
    let change = changed.map_err(|error| CommandError::Text(format!("ERR {error}").into()))?;
    context.reply().ok();
    context.engine.users_changed(&change, context.connection, context.world);
    Ok(())
}

fn names(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let names: Vec<Vec<u8>> = context.engine.users.iter().map(|(name, _)| name.to_vec()).collect();
    let mut reply = context.reply();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

fn who_am_i(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let user = context.session().user;
    let name = context.engine.users.name(user).to_vec();
    context.reply().bulk(&name);
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "ACL",
        &[
            "CAT [<category>]",
            "    The categories of commands, or the commands of one.",
            "DELUSER <username> [<username> ...]",
            "    Removes users and closes their connections.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Whether a user might run a command; it is not run.",
            "GENPASS [<bits>]",
            "    A password that cannot be guessed, of 256 bits or as many as asked for.",
            "GETUSER <username>",
            "    What there is to know of a user.",
            "LIST",
            "    All users as an ACL file has them.",
            "LOAD",
            "    Replaces all users by those of the ACL file.",
            "LOG [<count> | RESET]",
            "    What was denied, the newest first; or forgets it.",
            "SAVE",
            "    Writes all users into the ACL file.",
            "SETUSER <username> <attribute> [<attribute> ...]",
            "    Makes or changes a user.",
            "USERS",
            "    The names of all users.",
            "WHOAMI",
            "    The user that this connection is logged in as.",
        ],
    )
}

fn subcommand_syntax(args: Args<'_>) -> CommandError {
    quoting("ERR unknown subcommand or wrong number of arguments for '", args.get(1), "'. Try ACL HELP.")
}

/// A sentence that quotes what the client sent.
fn quoting(before: &str, word: &[u8], behind: &str) -> CommandError {
    let word = String::from_utf8_lossy(&word[..word.len().min(128)]);
    CommandError::Text(format!("{before}{word}{behind}").into())
}

#[cfg(test)]
mod tests;
