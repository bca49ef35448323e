//! A stop: what marked scripts call, and what whoever debugs them asks for that takes Lua (values, code, commands).
//! Always: the debugger is borrowed only between steps of Lua, since what runs there may come back to it.

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, MultiValue, Result, Table, Value, Variadic};
use tenon_resp::OwnedArgs;

use super::show::show_value;
use super::{Debugger, Next, Reason, Spot};
use crate::interpreter::place;
use crate::{Parting, bridge, hook, told};

/// Puts what marked scripts call into `native`.
pub(crate) fn install(lua: &Lua, native: &Table) -> Result<()> {
    native.raw_set("stop", lua.create_function(stop)?)?;
    native.raw_set("breakpoint", lua.create_function(|_, ()| Ok(break_here()))?)?;
    let debug = |_: &Lua, values: MultiValue| {
        bridge::debugging(|debugger| {
            let mut line = format!("<debug> line {}: ", debugger.here.line).into_bytes();
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    line.extend_from_slice(b", ");
                }
                show_value(&mut line, value, 0);
            }
            debugger.say(line);
        });
        Ok(())
    };
    native.raw_set("debug", lua.create_function(debug)?)
}

fn break_here() -> bool {
    bridge::debugging(|debugger| debugger.breaks = true).is_some()
}

/// Called before each statement of a marked script.
fn stop(lua: &Lua, (line, index, variables): (usize, usize, Option<Function>)) -> Result<()> {
    let depth = (0..).take_while(|level| lua.inspect_stack(*level, |_| ()).is_some()).count();
    let lingers = bridge::lingers();
    let spot = Spot { line, index, depth };
    let arrived = bridge::debugging(|debugger| {
        let reason = debugger.arrive(spot, variables, lingers);
        reason.inspect(|reason| debugger.say_stop(*reason))
    });
    let Some(reason) = arrived.flatten() else { return Ok(()) };
    loop {
        let words = match bridge::converse() {
            Ok(words) => words,
            Err(parting) => return part(lua, parting, reason),
        };
        let Some(next) = bridge::debugging(|debugger| debugger.obey(words.as_args())) else { return Ok(()) };
        match next {
            Next::Stay => {}
            Next::Go => return Ok(()),
            Next::Abort => end_with(lua, "ERR script aborted for user request"),
            Next::Print(name) => print(lua, name.as_deref())?,
            Next::Trace => trace(lua),
            Next::Evaluate(code) => evaluate(lua, &code)?,
            Next::Command => command(lua, &words)?,
        }
    }
}

fn part(lua: &Lua, parting: Parting, reason: Reason) -> Result<()> {
    match parting {
        Parting::Gone if reason == Reason::Lingers => {
            end_with(lua, "ERR timeout during Lua debugging with client closing connection")
        }
        Parting::Gone => {
            bridge::debugging(Debugger::leave);
            Ok(())
        }
        Parting::Garbled => end_with(lua, "ERR protocol error"),
        Parting::Ended => hook::end(place(lua)),
    }
}

fn end_with(lua: &Lua, text: &'static str) -> ! {
    bridge::debugging(|debugger| debugger.failure = Some(text));
    hook::end(place(lua))
}

fn say(line: impl Into<Vec<u8>>) {
    bridge::debugging(|debugger| debugger.say(line));
}

fn say_value(prefix: &str, value: &Value) {
    let mut line = prefix.as_bytes().to_vec();
    show_value(&mut line, value, 0);
    bridge::debugging(|debugger| debugger.say_shortly(line));
}

/// All variables of the function that runs, or the nearest one of a name.
fn print(lua: &Lua, name: Option<&[u8]>) -> Result<()> {
    let frames = bridge::debugging(|debugger| debugger.frames.clone()).unwrap_or_default();
    let told = |variables: &Option<Function>| -> Result<Vec<(Vec<u8>, Value)>> {
        let Some(variables) = variables else { return Ok(Vec::new()) };
        let told: Vec<Value> = variables.call::<MultiValue>(())?.into_iter().collect();
        let name_of = |value: &Value| told::text(lua, value).map(|text| text.as_bytes().to_vec());
        Ok(told.chunks(2).filter_map(|pair| Some((name_of(&pair[0])?, pair.get(1)?.clone()))).collect())
    };
    let Some(name) = name else {
        let variables = frames.last().map_or(Ok(Vec::new()), |(_, variables)| told(variables))?;
        if variables.is_empty() {
            say("No local variables in the current context.");
        }
        for (name, value) in &variables {
            say_value(&format!("<value> {} = ", String::from_utf8_lossy(name)), value);
        }
        return Ok(());
    };
    for (_, variables) in frames.iter().rev() {
        if let Some((_, value)) = told(variables)?.into_iter().find(|(other, _)| other == name) {
            say_value("<value> ", &value);
            return Ok(());
        }
    }
    if name == b"KEYS" || name == b"ARGV" {
        let value: Value = lua.globals().get(lua.create_string(name)?)?;
        say_value("<value> ", &value);
    } else {
        say("No such variable.");
    }
    Ok(())
}

fn trace(lua: &Lua) {
    let mut is_first = true;
    for level in 0.. {
        let found = lua.inspect_stack(level, |debug| {
            // The script itself has a name too, that by which the sandbox calls it.
            let name = if debug.source().what == "main" { None } else { debug.names().name };
            let name = name.map_or("top level".to_owned(), |name| name.into_owned());
            hook::place_of(debug).map(|place| (name, place.line))
        });
        let Some(found) = found else { return };
        let Some((name, line)) = found else { continue };
        bridge::debugging(|debugger| {
            debugger.say(format!("{} {name}:", if is_first { "In" } else { "From" }));
            debugger.say_line(line);
        });
        is_first = false;
    }
}

/// Runs code as an expression, or as statements.
fn evaluate(lua: &Lua, code: &[u8]) -> Result<()> {
    let compile =
        |code: &[u8]| lua.load(code).set_name("@ldb_eval").set_mode(ChunkMode::Text).into_function();
    let compiled = compile(&[b"return ", code].concat()).or_else(|_| compile(code));
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(mlua::Error::SyntaxError { message, .. }) => {
            say(format!("<error> {message}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let protected: Function = lua.globals().get("pcall")?;
    let (is_fine, value): (bool, Value) = protected.call(compiled)?;
    if is_fine {
        say_value("<retval> ", &value);
        return Ok(());
    }
    let mut line = b"<error> ".to_vec();
    match told::text(lua, &value) {
        Some(text) => line.extend_from_slice(&text.as_bytes()),
        None => show_value(&mut line, &value, 0),
    }
    say(line);
    Ok(())
}

/// Runs a command as the script would, and so tells of it.
fn command(lua: &Lua, words: &OwnedArgs) -> Result<()> {
    bridge::debugging(|debugger| debugger.steps = true);
    let library: Table = lua.globals().get("redis")?;
    let call: Function = library.get("pcall")?;
    let mut list = Vec::new();
    for word in words.as_args().rest(1).iter() {
        list.push(lua.create_string(word)?);
    }
    let ran = call.call::<Value>(Variadic::from(list));
    bridge::debugging(|debugger| debugger.steps = false);
    ran.map(drop)
}
