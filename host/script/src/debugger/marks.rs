//! Where a script can be stopped: before each statement. Writes, at the beginning of each, a call that says where it is
//! and hands over a function which tells the local variables there, because from outside Lua shows nobody a local one.
//! Changes no line: each statement stays on its own.
//! Always: what Lua compiles it compiles with the marks in it and does the same, unless a limit of Lua's is met.

use super::tokens::{Kind, Token, read};

/// What is called before each statement; also a local variable of the script, so that no environment hides it.
pub(super) const STOP: &str = "tenon_stop";
/// Variables that are told at one place. Lua has room for sixty in a function.
const LOCALS_MAX: usize = 50;
/// Blocks, expressions and functions within each other; Lua compiles fewer.
const DEPTH_MAX: usize = 400;

/// A script's text with the marks in it; `None` if it cannot be followed.
pub(crate) fn with_marks(source: &[u8]) -> Option<Vec<u8>> {
    let tokens = read(source)?;
    let mut parser =
        Parser { source, tokens: &tokens, at: 0, locals: Vec::new(), depth: 0, marks: Vec::new() };
    parser.block()?;
    if parser.here().kind != Kind::End {
        return None;
    }
    let mut marked = format!("local {STOP}={STOP} ").into_bytes();
    let mut from = 0;
    for (at, mark) in &parser.marks {
        marked.extend_from_slice(&source[from..*at]);
        marked.extend_from_slice(mark);
        from = *at;
    }
    marked.extend_from_slice(&source[from..]);
    Some(marked)
}

struct Parser<'a> {
    source: &'a [u8],
    tokens: &'a [Token],
    at: usize,
    /// Of the function that is being read, in the order in which they were declared.
    locals: Vec<&'a [u8]>,
    depth: usize,
    /// By place.
    marks: Vec<(usize, Vec<u8>)>,
}

/// Read or not: what is wrong with it is Lua's to say.
type Read = Option<()>;

impl<'a> Parser<'a> {
    fn here(&self) -> Token {
        self.tokens[self.at]
    }

    fn text(&self, token: Token) -> &'a [u8] {
        &self.source[token.start..token.end]
    }

    /// Whether the next token is this keyword or symbol.
    fn is(&self, word: &str) -> bool {
        let token = self.here();
        matches!(token.kind, Kind::Word | Kind::Symbol) && self.text(token) == word.as_bytes()
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.here();
        self.at += 1;
        (token.kind != Kind::End).then_some(token)
    }

    fn skip(&mut self, word: &str) -> bool {
        let is_it = self.is(word);
        self.at += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, word: &str) -> Read {
        self.skip(word).then_some(())
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let token = self.next().filter(|token| token.kind == Kind::Word)?;
        Some(self.text(token))
    }

    /// Reads something that may hold more of its kind.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Read) -> Read {
        self.depth += 1;
        let outcome = if self.depth <= DEPTH_MAX { read(self) } else { None };
        self.depth -= 1;
        outcome
    }

    /// Statements, up to what ends them. What they declare is forgotten.
    fn block(&mut self) -> Read {
        let outer = self.locals.len();
        self.open_block()?;
        self.locals.truncate(outer);
        Some(())
    }

    /// A block whose variables are still known behind it.
    fn open_block(&mut self) -> Read {
        self.deeper(|parser| {
            let ends = ["end", "else", "elseif", "until"];
            while parser.here().kind != Kind::End && !ends.iter().any(|end| parser.is(end)) {
                parser.mark();
                parser.statement()?;
                parser.skip(";");
            }
            Some(())
        })
    }

    fn mark(&mut self) {
        let token = self.here();
        let mut mark = format!("{STOP}({},{}", token.line, self.marks.len() + 1).into_bytes();
        let is_last = |(index, name): &(usize, &&[u8])| !self.locals[index + 1..].contains(name);
        let visible: Vec<&[u8]> =
            self.locals.iter().enumerate().filter(is_last).map(|(_, name)| *name).collect();
        let told = &visible[visible.len().saturating_sub(LOCALS_MAX)..];
        if !told.is_empty() {
            mark.extend_from_slice(b",function()return ");
            for (index, name) in told.iter().enumerate() {
                let comma: &[u8] = if index == 0 { b"\"" } else { b",\"" };
                mark.extend_from_slice(&[comma, name, b"\",", name].concat());
            }
            mark.extend_from_slice(b" end");
        }
        mark.extend_from_slice(b");");
        self.marks.push((token.start, mark));
    }

    fn statement(&mut self) -> Read {
        if self.here().kind != Kind::Word {
            return self.call_or_assignment();
        }
        let word = self.text(self.here());
        match word {
            b"if" => self.conditional(),
            b"while" => {
                self.at += 1;
                self.expression()?;
                self.expect("do")?;
                self.block()?;
                self.expect("end")
            }
            b"do" => {
                self.at += 1;
                self.block()?;
                self.expect("end")
            }
            b"for" => self.counted(),
            b"repeat" => {
                self.at += 1;
                let outer = self.locals.len();
                self.open_block()?;
                self.expect("until")?;
                self.expression()?;
                self.locals.truncate(outer);
                Some(())
            }
            b"function" => {
                self.at += 1;
                self.name()?;
                while self.skip(".") {
                    self.name()?;
                }
                let is_method = self.skip(":");
                if is_method {
                    self.name()?;
                }
                self.body(is_method)
            }
            b"local" => self.declaration(),
            b"return" => {
                self.at += 1;
                let ends = ["end", "else", "elseif", "until", ";"];
                if self.here().kind == Kind::End || ends.iter().any(|end| self.is(end)) {
                    return Some(());
                }
                self.expressions()
            }
            b"break" => {
                self.at += 1;
                Some(())
            }
            _ => self.call_or_assignment(),
        }
    }

    fn conditional(&mut self) -> Read {
        self.at += 1;
        self.expression()?;
        self.expect("then")?;
        self.block()?;
        while self.skip("elseif") {
            self.expression()?;
            self.expect("then")?;
            self.block()?;
        }
        if self.skip("else") {
            self.block()?;
        }
        self.expect("end")
    }

    /// A `for` of either kind.
    fn counted(&mut self) -> Read {
        self.at += 1;
        let mut names = vec![self.name()?];
        while self.skip(",") {
            names.push(self.name()?);
        }
        if !self.skip("=") {
            self.expect("in")?;
        }
        self.expressions()?;
        self.expect("do")?;
        let outer = self.locals.len();
        self.locals.extend(names);
        self.block()?;
        self.locals.truncate(outer);
        self.expect("end")
    }

    fn declaration(&mut self) -> Read {
        self.at += 1;
        if self.skip("function") {
            let name = self.name()?;
            self.locals.push(name);
            return self.body(false);
        }
        let mut names = vec![self.name()?];
        while self.skip(",") {
            names.push(self.name()?);
        }
        if self.skip("=") {
            self.expressions()?;
        }
        self.locals.extend(names);
        Some(())
    }

    fn call_or_assignment(&mut self) -> Read {
        self.suffixed()?;
        while self.skip(",") {
            self.suffixed()?;
        }
        if self.skip("=") {
            self.expressions()?;
        }
        Some(())
    }

    /// A function from its parameters on. It has variables of its own.
    fn body(&mut self, is_method: bool) -> Read {
        let outer = std::mem::take(&mut self.locals);
        if is_method {
            self.locals.push(b"self");
        }
        self.expect("(")?;
        while !self.skip(")") {
            let parameter = self.next()?;
            if parameter.kind == Kind::Word {
                self.locals.push(self.text(parameter));
            }
        }
        self.block()?;
        self.locals = outer;
        self.expect("end")
    }

    fn expressions(&mut self) -> Read {
        self.expression()?;
        while self.skip(",") {
            self.expression()?;
        }
        Some(())
    }

    /// Operands and what is between them; which binds tighter does not matter here.
    fn expression(&mut self) -> Read {
        const BETWEEN: [&str; 15] =
            ["+", "-", "*", "/", "%", "^", "..", "==", "~=", "<=", ">=", "<", ">", "and", "or"];
        self.deeper(|parser| {
            loop {
                while parser.skip("not") || parser.skip("-") || parser.skip("#") {}
                parser.operand()?;
                if !BETWEEN.iter().any(|operator| parser.skip(operator)) {
                    return Some(());
                }
            }
        })
    }

    fn operand(&mut self) -> Read {
        let is_plain = matches!(self.here().kind, Kind::Text | Kind::Number);
        if is_plain || ["nil", "true", "false", "..."].iter().any(|word| self.is(word)) {
            self.at += 1;
            return Some(());
        }
        if self.is("{") {
            return self.table();
        }
        if self.skip("function") {
            return self.body(false);
        }
        self.suffixed()
    }

    /// A name or something in parentheses, with what is picked out of it and called.
    fn suffixed(&mut self) -> Read {
        if self.skip("(") {
            self.expression()?;
            self.expect(")")?;
        } else {
            self.name()?;
        }
        loop {
            if self.skip(".") {
                self.name()?;
            } else if self.skip("[") {
                self.expression()?;
                self.expect("]")?;
            } else if self.skip(":") {
                self.name()?;
                self.arguments()?;
            } else if self.is("(") || self.is("{") || self.here().kind == Kind::Text {
                self.arguments()?;
            } else {
                return Some(());
            }
        }
    }

    fn arguments(&mut self) -> Read {
        if self.here().kind == Kind::Text {
            self.at += 1;
            return Some(());
        }
        if self.is("{") {
            return self.table();
        }
        self.expect("(")?;
        if !self.skip(")") {
            self.expressions()?;
            self.expect(")")?;
        }
        Some(())
    }

    fn table(&mut self) -> Read {
        self.expect("{")?;
        while !self.skip("}") {
            if self.skip("[") {
                self.expression()?;
                self.expect("]")?;
                self.expect("=")?;
            } else if self.here().kind == Kind::Word && self.is_followed_by_equals() {
                self.at += 2;
            }
            self.expression()?;
            if !self.skip(",") {
                self.skip(";");
            }
        }
        Some(())
    }

    fn is_followed_by_equals(&self) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| self.text(*token) == b"=")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(source: &str) -> String {
        let marked = with_marks(source.as_bytes()).unwrap_or_else(|| panic!("{source}"));
        let marked = String::from_utf8(marked).expect("text");
        marked.strip_prefix("local tenon_stop=tenon_stop ").expect("the prefix").replace(STOP, "@")
    }

    #[test]
    fn each_statement_tells_the_variables_before_it() {
        assert_eq!(
            marked("local a = 1\nlocal b, a = a\nreturn b"),
            "@(1,1);local a = 1\n@(2,2,function()return \"a\",a end);local b, a = a\n\
             @(3,3,function()return \"b\",b,\"a\",a end);return b"
        );
        assert_eq!(
            marked("local function f(x, ...) return x end\nf(1)"),
            "@(1,1);local function f(x, ...) @(1,2,function()return \"x\",x end);return x end\n\
             @(2,3,function()return \"f\",f end);f(1)"
        );
        assert_eq!(
            marked("for k in pairs(t) do k:m() end (f)()"),
            "@(1,1);for k in pairs(t) do @(1,2,function()return \"k\",k end);k:m() end @(1,3);(f)()"
        );
        assert_eq!(
            marked("repeat local x = f{a=1;[2]=#b, g'c'} until x"),
            "@(1,1);repeat @(1,2);local x = f{a=1;[2]=#b, g'c'} until x"
        );
    }

    #[test]
    fn blocks_end_where_lua_ends_them() {
        let source = "if a then b() elseif not c then return elseif d then return 1; else d.e[1] = function() \
                      end end while x do break end do local y end x, z.w = -1 ^ 2 .. 'k', nil \
                      for i = 1, 2, 3 do end function a.b:c() return self end";
        let count = marked(source).matches('@').count();
        assert_eq!(count, 13, "{}", marked(source));
        assert!(marked(source).contains("function()return \"self\",self end);return self"));
    }

    #[test]
    fn what_is_no_script_is_not_followed() {
        let deep = format!("x = {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        for source in ["if", "return end", "x = {1", "f(", "x = = 1", "end", "local", deep.as_str()] {
            assert_eq!(with_marks(source.as_bytes()), None, "{source}");
        }
    }
}
