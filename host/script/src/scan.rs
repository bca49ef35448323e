//! What can be said of a script by its text alone, without reading it as Lua: for the quicker ways to run it.
//! Not a parser: strings and comments are searched like all else, so an answer is careful, not exact.
//! Always: what is said holds whatever the script does.

/// Whether the text names what returns as many values as one likes.
pub(crate) fn may_be_wide(code: &[u8]) -> bool {
    [b"unpack".as_slice(), b"byte", b"load"].into_iter().any(|name| has(code, name))
}

/// Whether the text finds what is shared only by its name, and assigns to local names alone: so it may find that itself,
/// and no proxy. It calls no commands of thousands of words.
pub(crate) fn is_plain(code: &[u8]) -> bool {
    let looks_around = [b"_G".as_slice(), b"fenv"].into_iter().any(|name| has(code, name));
    !looks_around
        && !may_be_wide(code)
        && (0..code.len()).filter(|&at| code[at] == b'=').all(|at| is_harmless(code, at))
        && functions(code).all(|at| is_unnamed(code, at) || is_local(code, at))
}

/// Whether the tables `KEYS` and `ARGV` are the same after a run as before it, and nobody has them: they occur as
/// `KEYS[1]` only, which is a string or nothing; what is assigned to is no element; nothing looks at the globals.
pub(crate) fn leaves_tables(code: &[u8]) -> bool {
    is_plain(code)
        && [b"KEYS", b"ARGV"].into_iter().all(|name| {
            let mut uses = code.windows(name.len()).enumerate().filter(|(_, window)| window == name);
            uses.all(|(at, _)| is_element(&code[at + name.len()..]))
        })
}

/// Whether the same holds of whatever is given to the functions in the text. They can keep something from one run to the
/// next, but nothing is put where it could be kept.
pub(crate) fn leaves_parameters(code: &[u8]) -> bool {
    let may_keep = [b"...".as_slice(), b"table", b"rawset", b"coroutine"];
    if !is_plain(code) || may_keep.into_iter().any(|name| has(code, name)) {
        return false;
    }
    let (mut names, mut lists) = (Vec::new(), Vec::new());
    for at in functions(code) {
        let Some(open) = code[at..].iter().position(|&byte| byte == b'(') else { return false };
        let Some(close) = code[at..].iter().position(|&byte| byte == b')') else { return false };
        let list = at + open + 1..at + close.max(open + 1);
        names.extend(code[list.clone()].split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
        if !names.iter().all(|name| name.iter().all(is_of_name)) {
            return false;
        }
        lists.push(list);
    }
    let mut at = 0;
    code.split(|byte| !is_of_name(byte)).all(|word| {
        let begin = at;
        at += word.len() + 1;
        word.is_empty()
            || !names.contains(&word)
            || lists.iter().any(|list| list.contains(&begin))
            || is_element(&code[begin + word.len()..])
    })
}

fn has(code: &[u8], name: &[u8]) -> bool {
    code.windows(name.len()).any(|window| window == name)
}

fn is_of_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// Where the names of functions would stand.
fn functions(code: &[u8]) -> impl Iterator<Item = usize> {
    let mut end = 0;
    code.split(|byte| !is_of_name(byte)).filter_map(move |word| {
        end += word.len() + 1;
        (word == b"function").then_some(end - 1)
    })
}

/// Whether a function, whose name would stand at `at`, has none.
fn is_unnamed(code: &[u8], at: usize) -> bool {
    code[at..].trim_ascii_start().first() == Some(&b'(')
}

/// Whether the name of such a function is a local one.
fn is_local(code: &[u8], at: usize) -> bool {
    let before = code[..at - b"function".len()].trim_ascii_end();
    before.strip_suffix(b"local").is_some_and(|before| !before.last().is_some_and(is_of_name))
}

/// Whether an index behind a table's name is a plain number.
fn is_element(behind: &[u8]) -> bool {
    let digits = behind.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    behind.first() == Some(&b'[') && digits > 0 && behind.get(1 + digits) == Some(&b']')
}

/// Whether what stands at `at`, an equals sign, compares, or gives local names their first values.
fn is_harmless(code: &[u8], at: usize) -> bool {
    let before = &code[..at];
    if code.get(at + 1) == Some(&b'=') || matches!(before.last(), Some(b'=' | b'~' | b'<' | b'>')) {
        return true;
    }
    let in_names = |byte: &u8| is_of_name(byte) || matches!(byte, b',' | b' ' | b'\t');
    let names = before.iter().rev().take_while(|byte| in_names(byte)).count();
    let names = &before[at - names..];
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut declared = None;
    let mut end = 0;
    for word in names.split(|byte| !is_of_name(byte)) {
        end += word.len();
        if matches!(word, b"local" | b"for") {
            declared = Some(&names[end..]);
        }
        end += 1;
    }
    // Behind such a word there are names only, each behind a comma: behind a name alone, something else begins.
    let is_name = |name: &[u8]| !name.trim_ascii().is_empty() && !name.trim_ascii().iter().any(is_blank);
    declared.is_some_and(|declared| declared.split(|byte| *byte == b',').all(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_a_script_could_keep_or_change_are_not_left() {
        let leaving = [
            "return redis.call('set',KEYS[1],ARGV[1])",
            "return 1",
            "local a, b = KEYS[1], ARGV[12]\nif a == b then return a end",
            "for i = 1, 3 do redis.call('get', KEYS[1]) end",
            "local a = KEYS[1] local b = 2 return a ~= b",
        ];
        for code in leaving {
            assert!(leaves_tables(code.as_bytes()), "{code}");
        }
        let others = [
            "return KEYS",
            "return #ARGV",
            "KEYS[1] = 'a'",
            "KEYS[3], a = 1, 2",
            "local a = 1 a, KEYS[3] = 1, 2",
            "local a = 1\nKEYS[3], a = 1, 2",
            "local a = 1\nKEYS[3],\na = 1, 2",
            "KEYS[3]--\n,a=1,2",
            "KEYS[3],\na=1,2",
            "KEYS[3], --[[ local ]] a = 1, 2",
            "a = 1",
            "return _G.KEYS[1]",
            "return getfenv().KEYS[1]",
            "return loadstring('return KEYS[1]')()",
            "return KEYS[n]",
            "return KEYS [1]",
            "return redis.call('KEYS', '*')",
        ];
        for code in others {
            assert!(!leaves_tables(code.as_bytes()), "{code}");
        }
        assert!(may_be_wide(b"return redis.call(unpack(KEYS))"));
        assert!(!may_be_wide(b"return redis.call('get', KEYS[1])"));
    }

    #[test]
    fn texts_that_could_assign_to_what_is_shared_are_not_plain() {
        let plain = [
            "local a, b = 1, 2 for i = 1, 2 do local c = a == b end return a",
            "local function f(x) return x end return f(function (y) return y end)",
            "local a local b = 1 return b",
            "return #KEYS",
        ];
        for code in plain {
            assert!(is_plain(code.as_bytes()), "{code}");
        }
        let others = [
            "redis = nil",
            "redis.call = nil",
            "local a redis = nil",
            "local a, b redis = nil",
            "local a b, redis = 1, nil",
            "local a = 1 b, redis = 1, nil",
            "for a in b do redis = nil end",
            "for a in b do redis, c = nil end",
            "local a = 1 redis = nil",
            "local f function redis() end",
            "function redis() end",
            "function redis.call() end",
            "function\nredis.call() end",
            "notlocal function redis() end",
            "return {redis = 1}",
            "x.local = 1",
            "return _G",
            "setfenv(1, {})",
            "return loadstring('redis = 1')",
            "return unpack(KEYS)",
        ];
        for code in others {
            assert!(!is_plain(code.as_bytes()), "{code}");
        }
    }

    #[test]
    fn functions_that_could_keep_what_they_are_given_do_not_leave_it() {
        let leaving = [
            "redis.register_function('f', function(keys, args) return redis.call('set', keys[1], args[1]) end)",
            "local function g( a ,b ) return a[1] == b[2] end",
            "return 1",
        ];
        for code in leaving {
            assert!(leaves_parameters(code.as_bytes()), "{code}");
        }
        let others = [
            "redis.register_function('f', function(keys, args) return keys end)",
            "redis.register_function('f', function(keys, args) return keys[1], #args end)",
            "redis.register_function('f', function(keys, args) keys[1] = 1 end)",
            "redis.register_function('f', function(keys, ...) return keys[1] end)",
            "redis.register_function('f', function(keys, --[[ b ]] args) return args end)",
            "redis.register_function('f', function(keys) return function() return keys end end)",
            "redis.register_function('f', function(keys) return keys[n] end)",
            "redis.register_function('f', function(keys) table.insert(t, function() return keys[1] end) end)",
            "redis.register_function('f', function(keys) g(keys) end)",
            "redis.register_function('f', function(keys) g {keys} end)",
        ];
        for code in others {
            assert!(!leaves_parameters(code.as_bytes()), "{code}");
        }
    }
}
