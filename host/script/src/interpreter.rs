//! One interpreter: compiles scripts and libraries, runs them, and is thrown away with all that they know.
//! Not a cache: who keeps what is compiled, and under which name, is its owner's to say.

mod ended;
mod runner;

use mlua::chunk::ChunkMode;
use mlua::{Function as LuaFunction, Lua, LuaOptions, LuaString, MultiValue, Result, StdLib, Table, Value};
use tenon_resp::{Args, OwnedArgs, Proto};

use self::ended::Kind;
pub use self::ended::{Ended, Failure, Place, Returned, WrittenError};
use self::runner::{FEW_KEYS_MAX, Outcome, Runner, list};
use crate::bridge::{self, Crossing};
use crate::debugger::{self, Debugger};
use crate::failed::failure_of;
use crate::hook::{self, run_endable};
use crate::memory::within_limit;
use crate::scan::{is_plain, leaves_parameters, leaves_tables, may_be_wide};
use crate::shebang::ScriptFlags;
use crate::{Host, bits, chance, cjson, cmsgpack, structs, told};

/// An interpreter of at most this size is tidied within some hundred microseconds.
const TIDY_BYTES_MAX: usize = 256 << 10;
/// What Redis calls itself to scripts.
const VERSION: &str = "7.2.4";
const VERSION_NUMBER: u32 = 0x0007_0204;

/// Whether an interpreter runs scripts, with their keys as globals, or functions of libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// EVAL.
    Scripts,
    /// FCALL.
    Functions,
}

/// An interpreter and its sandbox.
pub struct Interpreter {
    lua: Lua,
    run_script: Runner,
    run_callback: Runner,
    /// Makes ready for scripts that call wide, or have other tables than those used again.
    prepare: LuaFunction,
    prepared: Prepared,
    /// Has something that is compiled look for what is shared elsewhere.
    look_in: LuaFunction,
    /// Returns the table that was raised last.
    raised: LuaFunction,
    load: LuaFunction,
    end_load: LuaFunction,
    /// The words of the command that a script calls.
    words: OwnedArgs,
}

/// What scripts find now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Prepared {
    /// Functions that can call wide.
    is_wide: bool,
    /// Other tables than those used again, where such are looked for.
    has_others: bool,
}

/// Something compiled: a script, or a library's function. A handle that keeps it.
#[derive(Clone)]
pub struct Code {
    function: LuaFunction,
    /// Whether it may call commands of thousands of words.
    is_wide: bool,
    /// Whether it can be given the same tables as others.
    leaves_tables: bool,
}

/// A function that a library has registered.
pub struct Function {
    /// Unique in its library.
    pub name: String,
    /// As given.
    pub description: Option<Vec<u8>>,
    /// As given.
    pub flags: ScriptFlags,
    /// What runs.
    pub code: Code,
}

impl Interpreter {
    /// A new one; `seed` is where `math.random` begins.
    pub fn new(flavor: Flavor, seed: u64) -> Interpreter {
        Interpreter::build(flavor, seed, false).expect("a new interpreter has room for its libraries")
    }

    /// One for a script that is stepped through.
    pub(crate) fn for_stepping(seed: u64) -> Interpreter {
        let built = Interpreter::build(Flavor::Scripts, seed, true);
        built.expect("a new interpreter has room for its libraries")
    }

    fn build(flavor: Flavor, seed: u64, is_for_stepping: bool) -> Result<Interpreter> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        let native = native(&lua, seed)?;
        if is_for_stepping {
            debugger::install(&lua, &native)?;
        }
        let sandbox = lua.load(include_str!("sandbox.lua")).set_name("=sandbox").set_mode(ChunkMode::Text);
        let runner: Table = sandbox.into_function()?.call((native, flavor == Flavor::Functions))?;
        lua.set_globals(runner.raw_get("globals")?)?;
        hook::install(&lua)?;
        lua.gc_collect()?;
        Ok(Interpreter {
            run_script: Runner::find(&runner, "script")?,
            run_callback: Runner::find(&runner, "callback")?,
            prepare: runner.raw_get("prepare")?,
            prepared: Prepared::default(),
            look_in: runner.raw_get("look_in")?,
            raised: runner.raw_get("raised")?,
            load: runner.raw_get("load")?,
            end_load: runner.raw_get("end_load")?,
            words: OwnedArgs::new(),
            lua,
        })
    }

    /// Compiles a script; an error is Lua's sentence.
    pub fn compile(&self, code: &[u8]) -> std::result::Result<Code, String> {
        let function = self.compile_as(code, "@user_script")?;
        let place = match (is_plain(code), leaves_tables(code)) {
            (true, true) => "lasting",
            (true, false) => "bare",
            (false, _) => "",
        };
        self.look_in.call::<()>((&function, place)).map_err(|error| error.to_string())?;
        Ok(Code { function, is_wide: may_be_wide(code), leaves_tables: place == "lasting" })
    }

    fn compile_as(&self, code: &[u8], name: &str) -> std::result::Result<LuaFunction, String> {
        let chunk = self.lua.load(code).set_name(name).set_mode(ChunkMode::Text);
        chunk.into_function().map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => message,
            error => error.to_string(),
        })
    }

    /// Runs a script.
    pub fn run(&mut self, code: &Code, keys: Args<'_>, arguments: Args<'_>, host: &mut dyn Host) -> Ended {
        self.run_as(Flavor::Scripts, code, (keys, arguments), host, None)
    }

    /// Compiles a script that has marks in it.
    pub(crate) fn compile_marked(&self, code: &[u8]) -> std::result::Result<Code, String> {
        let function = self.compile_as(code, "@user_script")?;
        Ok(Code { function, is_wide: true, leaves_tables: false })
    }

    /// Runs a script that has marks in it.
    pub(crate) fn run_marked(
        &mut self,
        code: &Code,
        words: (Args<'_>, Args<'_>),
        host: &mut dyn Host,
        debugger: &mut Debugger,
    ) -> Ended {
        self.run_as(Flavor::Scripts, code, words, host, Some(debugger))
    }

    /// Runs a library's function.
    pub fn call(
        &mut self,
        function: &Code,
        keys: Args<'_>,
        arguments: Args<'_>,
        host: &mut dyn Host,
    ) -> Ended {
        self.run_as(Flavor::Functions, function, (keys, arguments), host, None)
    }

    fn run_as(
        &mut self,
        flavor: Flavor,
        code: &Code,
        (keys, arguments): (Args<'_>, Args<'_>),
        host: &mut dyn Host,
        debugger: Option<&mut Debugger>,
    ) -> Ended {
        let Interpreter { lua, words, run_script, run_callback, prepare, prepared, raised, .. } = self;
        let runner = if flavor == Flavor::Scripts { run_script } else { run_callback };
        let wanted = Prepared {
            is_wide: code.is_wide,
            has_others: code.leaves_tables && keys.len().max(arguments.len()) > FEW_KEYS_MAX,
        };
        let ran = with_host(words, host, debugger, || {
            if wanted.has_others {
                let (keys, arguments) = (list(lua, keys)?, list(lua, arguments)?);
                prepare.call::<()>((wanted.is_wide, &keys, &arguments))?;
                *prepared = wanted;
                return within_limit(lua, || runner.many.call::<Outcome>((&code.function, keys, arguments)));
            } else if *prepared != wanted {
                prepare.call::<()>(wanted.is_wide)?;
                *prepared = wanted;
            }
            runner.run(lua, code, keys, arguments)
        });
        match ran {
            Err(place) => Ended::Stopped(place),
            Ok((Err(error), _)) => Ended::Failed(failure_of(error, raised)),
            Ok((Ok((kind, value, text)), speaks)) => {
                let value = match (kind, text, value) {
                    (2, Some(text), _) => Kind::Text(text.into()),
                    (3, Some(text), _) => Kind::Status(text.into()),
                    (4, _, Value::Table(table)) => Kind::Array(table),
                    (5, ..) => Kind::Okay,
                    (_, _, value) => Kind::Value(value),
                };
                Ended::Returned(Returned { value, speaks })
            }
        }
    }

    /// Loads a library's code and returns the functions that it registers. An error is a sentence with its code.
    pub fn load_library(
        &mut self,
        code: &[u8],
        host: &mut dyn Host,
    ) -> std::result::Result<Vec<Function>, String> {
        let chunk = self.compile_as(code, "@user_function");
        let chunk = chunk.map_err(|error| format!("ERR Error compiling function: {error}"))?;
        let Interpreter { lua, words, load, look_in, .. } = self;
        let load = || within_limit(lua, || load.call::<(bool, Value)>(&chunk));
        let loaded = with_host(words, host, None, load);
        let failed = |reason: &str| Err(format!("ERR Error registering functions: {reason}"));
        match loaded {
            Err(_) => {
                // Broken off in the middle: what libraries see while they load is taken away again.
                self.end_load.call::<()>(()).map_err(|error| error.to_string())?;
                failed("ERR FUNCTION LOAD timeout")
            }
            Ok((Ok((true, Value::Table(functions))), _)) => {
                let functions =
                    functions.sequence_values::<Table>().map(|function| registered(&function?, code));
                let functions = functions.collect::<Result<Vec<Function>>>();
                let functions = functions.map_err(|error| error.to_string())?;
                if is_plain(code) {
                    // What is not written in Lua looks for nothing.
                    let look = |function: &Function| look_in.call::<()>((&function.code.function, "bare"));
                    functions.iter().for_each(|function| drop(look(function)));
                }
                Ok(functions)
            }
            Ok((Ok((_, Value::String(reason))), _)) => failed(&reason.to_string_lossy()),
            Ok((Ok(_), _)) => failed("ERR execution failure"),
            Ok((Err(error), _)) => failed(&format!("ERR {error}")),
        }
    }

    /// Frees at once what nothing refers to any more, if that takes no time to speak of: before it is told how much
    /// there is.
    pub fn tidy(&mut self) {
        if self.used_memory() <= TIDY_BYTES_MAX {
            // What cannot be freed now is freed later.
            let _ = self.lua.gc_collect();
        }
    }

    /// Bytes taken by everything in it.
    pub fn used_memory(&self) -> usize {
        self.lua.used_memory()
    }
}

/// Runs something that can reach its host. Returns what came of it, and the protocol in which the script wanted to
/// be spoken to at last.
fn with_host<R>(
    words: &mut OwnedArgs,
    host: &mut dyn Host,
    debugger: Option<&mut Debugger>,
    run: impl FnOnce() -> Result<R>,
) -> std::result::Result<(Result<R>, Proto), Option<Place>> {
    let mut crossing = Crossing { host, words, speaks: Proto::Resp2, debugger };
    let ran = run_endable(|| crossing.open_for(run))?;
    Ok((ran, crossing.speaks))
}

fn registered(function: &Table, code: &[u8]) -> Result<Function> {
    let mut flags = ScriptFlags::default();
    if let Some(names) = function.raw_get::<Option<Table>>("flags")? {
        for name in names.sequence_values::<LuaString>() {
            flags = flags.and(ScriptFlags::parse_any_case(&name?.as_bytes()).unwrap_or_default());
        }
    }
    Ok(Function {
        name: function.raw_get::<LuaString>("name")?.to_string_lossy(),
        description: function
            .raw_get::<Option<LuaString>>("description")?
            .map(|text| text.as_bytes().to_vec()),
        flags,
        code: Code {
            function: function.raw_get("callback")?,
            is_wide: may_be_wide(code),
            leaves_tables: leaves_parameters(code),
        },
    })
}

/// What the sandbox is given that is written in Rust.
fn native(lua: &Lua, seed: u64) -> Result<Table> {
    let native = lua.create_table()?;
    bridge::install(lua, &native)?;
    native.raw_set("version", VERSION)?;
    native.raw_set("version_number", VERSION_NUMBER)?;
    chance::install(lua, &native, seed)?;
    native.raw_set("bit", bits::library(lua)?)?;
    native.raw_set("struct", structs::library(lua)?)?;
    native.raw_set("cmsgpack", cmsgpack::library(lua)?)?;
    native.raw_set("json", lua.create_function(|lua, ()| cjson::library(lua))?)?;
    let is_flag = |_: &Lua, name: LuaString| Ok(ScriptFlags::parse_any_case(&name.as_bytes()).is_some());
    native.raw_set("is_flag", lua.create_function(is_flag)?)?;
    native.raw_set("open", lua.create_function(told::open)?)?;
    native.raw_set("caller", lua.create_function(|lua, _: MultiValue| Ok((0, caller_of_caller(lua))))?)?;
    native.raw_set("raise", lua.create_function(told::raise)?)?;
    Ok(native)
}

/// The function that called the one which has called this.
fn caller_of_caller(lua: &Lua) -> Option<LuaFunction> {
    lua.inspect_stack(2, |debug| debug.function())
}

/// The innermost line of the script's own that is running.
pub(crate) fn place(lua: &Lua) -> (Option<String>, Option<usize>) {
    for level in 0.. {
        match lua.inspect_stack(level, hook::place_of) {
            None => return (None, None),
            Some(None) => {}
            Some(Some(place)) => return (Some(place.source), Some(place.line)),
        }
    }
    (None, None)
}
