//! Libraries of functions: loaded, replaced, removed, listed. They are data: they are saved and propagated.
//! Always: no two functions have the same name, in letters of either case; a change that fails changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tenon_base::{Micros, Stopwatch};
use tenon_resp::{Args, Proto};
use tenon_script::{Called, Flavor, Function, Host, Interpreter, library_head};

use super::Runnable;
use super::recent::Recent;

/// Names up to this length are looked up without an allocation.
const SHORT_NAME_BYTES: usize = 64;
/// What loading a library may take.
const LOAD_MS_MAX: u64 = 500;

/// All libraries of an engine.
#[derive(Default)]
pub(crate) struct Libraries {
    /// Made when the first library comes; gone while a function runs.
    pub(super) interpreter: Option<Box<Interpreter>>,
    libraries: BTreeMap<String, Library>,
    /// By name in lower case.
    functions: HashMap<Box<[u8]>, Entry>,
    recent: Recent,
}

/// A function as it is looked up.
struct Entry {
    library: String,
    function: Arc<Runnable>,
}

/// A library.
pub(crate) struct Library {
    pub(crate) name: String,
    /// Its text, the first line included.
    pub(crate) text: Arc<[u8]>,
    pub(crate) functions: Vec<Function>,
}

/// What happens to libraries that are there when others are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestorePolicy {
    /// They are removed.
    Flush,
    /// They stay; one of the same name is an error.
    Append,
    /// One of the same name is replaced.
    Replace,
}

/// Loads libraries: their code may log, and has to be quick.
pub(crate) struct Loading<'a> {
    /// The clock, and since when it runs; from a file it may take its time.
    pub(crate) stopwatch: Option<(&'a mut dyn Stopwatch, Micros)>,
    pub(crate) seed: u64,
}

impl Host for Loading<'_> {
    fn call(&mut self, _: Args<'_>, _: Proto) -> Called<'_> {
        Called::Refused("ERR redis.call can only be called inside a script invocation".to_owned())
    }

    fn may_call(&mut self, _: Args<'_>) -> Option<bool> {
        None
    }

    fn set_targets(&mut self, _: bool, _: bool) {}

    fn log(&mut self, level: u8, text: &[u8]) {
        super::caller::log(level, text);
    }

    fn goes_on(&mut self) -> bool {
        let limit = Micros::from_millis(LOAD_MS_MAX);
        self.stopwatch.as_mut().is_none_or(|(stopwatch, began)| stopwatch.read().since(*began) <= limit)
    }
}

impl Libraries {
    pub(crate) fn len(&self) -> usize {
        self.libraries.len()
    }

    pub(crate) fn function_count(&self) -> usize {
        self.functions.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Library> {
        self.libraries.values()
    }

    /// The texts, in the order of names.
    pub(crate) fn texts(&self) -> Vec<Arc<[u8]>> {
        self.iter().map(|library| Arc::clone(&library.text)).collect()
    }

    /// What libraries take, beside the interpreter.
    pub(crate) fn bytes(&self) -> usize {
        let names = |library: &Library| {
            library.functions.iter().map(|function| function.name.len() + 64).sum::<usize>()
        };
        self.iter()
            .map(|library| library.text.len() + library.name.len() + names(library) + size_of::<Library>())
            .sum()
    }

    /// A function by its name in letters of either case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Arc<Runnable>> {
        if let Some(recent) = self.recent.find(name) {
            return Some(recent);
        }
        let mut short = [0; SHORT_NAME_BYTES];
        let entry = match short.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                self.functions.get(&*lower)
            }
            None => self.functions.get(name.to_ascii_lowercase().as_slice()),
        };
        entry.map(|entry| &entry.function)
    }

    /// The same, to call it.
    pub(crate) fn recall(&mut self, name: &[u8]) -> Option<Arc<Runnable>> {
        let found = Arc::clone(self.find(name)?);
        self.recent.keep(name, &found);
        Some(found)
    }

    /// Loads a library and returns its name; an error is a sentence with its code.
    pub(crate) fn load(
        &mut self,
        text: &[u8],
        replaces: bool,
        loading: &mut Loading<'_>,
    ) -> Result<String, String> {
        let name = library_head(text)?.name;
        if !replaces && self.libraries.contains_key(&name) {
            return Err(format!("ERR Library '{name}' already exists"));
        }
        let library = self.compile(text, loading)?;
        self.check_names(&library, |other| other == name)?;
        self.remove(&name);
        self.link(library);
        Ok(name)
    }

    /// Loads several libraries, or none.
    pub(crate) fn restore(
        &mut self,
        texts: &[Vec<u8>],
        policy: RestorePolicy,
        loading: &mut Loading<'_>,
    ) -> Result<(), String> {
        let mut restored: Vec<Library> = Vec::new();
        let (mut names, mut functions) = (HashSet::new(), HashSet::new());
        for text in texts {
            let library = self.compile(text, loading)?;
            if !names.insert(library.name.clone()) {
                return Err(format!("ERR Library '{}' already exists", library.name));
            }
            for function in &library.functions {
                if !functions.insert(function.name.to_ascii_lowercase()) {
                    return Err(format!("ERR Function {} already exists", function.name));
                }
            }
            restored.push(library);
        }
        if policy == RestorePolicy::Append
            && let Some(taken) = restored.iter().find(|library| self.libraries.contains_key(&library.name))
        {
            return Err(format!("ERR Library {} already exists", taken.name));
        }
        let goes = |other: &str| policy == RestorePolicy::Flush || names.contains(other);
        for library in &restored {
            self.check_names(library, goes)?;
        }
        let gone: Vec<String> = self.libraries.keys().filter(|name| goes(name)).cloned().collect();
        gone.iter().for_each(|name| drop(self.remove(name)));
        restored.into_iter().for_each(|library| self.link(library));
        Ok(())
    }

    /// Removes a library, if it is there.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Library> {
        let removed = self.libraries.remove(name)?;
        self.recent.forget();
        for function in &removed.functions {
            self.functions.remove(&*lower(&function.name));
        }
        Some(removed)
    }

    /// Forgets everything, with the interpreter; returns what is to be freed.
    pub(crate) fn flush(&mut self) -> impl Send + use<> {
        self.recent.forget();
        (std::mem::take(&mut self.libraries), std::mem::take(&mut self.functions), self.interpreter.take())
    }

    /// Bytes that the interpreter takes.
    pub(crate) fn vm_bytes(&self) -> usize {
        self.interpreter.as_ref().map_or(0, |interpreter| interpreter.used_memory())
    }

    fn compile(&mut self, text: &[u8], loading: &mut Loading<'_>) -> Result<Library, String> {
        let head = library_head(text)?;
        let seed = loading.seed;
        let new = || Box::new(Interpreter::new(Flavor::Functions, seed));
        let interpreter = self.interpreter.get_or_insert_with(new);
        let functions = interpreter.load_library(&text[head.code], loading)?;
        if functions.is_empty() {
            return Err("ERR No functions registered".to_owned());
        }
        Ok(Library { name: head.name, text: text.into(), functions })
    }

    /// Whether the functions' names are free, those of libraries that go not counted.
    fn check_names(&self, library: &Library, goes: impl Fn(&str) -> bool) -> Result<(), String> {
        for function in &library.functions {
            let holder = self.functions.get(&*lower(&function.name));
            if holder.is_some_and(|holder| !goes(&holder.library)) {
                return Err(format!("ERR Function {} already exists", function.name));
            }
        }
        Ok(())
    }

    fn link(&mut self, library: Library) {
        for function in &library.functions {
            let Function { name, code, flags, .. } = function;
            let runnable = Runnable { name: name.clone(), code: code.clone(), flags: *flags };
            let entry = Entry { library: library.name.clone(), function: Arc::new(runnable) };
            self.functions.insert(lower(name), entry);
        }
        self.libraries.insert(library.name.clone(), library);
    }
}

/// As functions are looked up.
fn lower(name: &str) -> Box<[u8]> {
    name.to_ascii_lowercase().into_bytes().into()
}
