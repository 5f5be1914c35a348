//! The arguments of an attribute, as written: syntax and names, not yet what they mean together.
//!
//! Invariant: every argument keeps the span of its name, so that what is wrong with an argument is blamed on it.

mod foreign;
mod name;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Expr, Ident, LitStr, Path, Token, bracketed,
    ext::IdentExt,
    parenthesized,
    parse::{ParseStream, Parser, discouraged::Speculative},
    punctuated::Punctuated,
    token::{Bracket, Paren},
};

use self::name::Form;
pub(crate) use self::name::Name;
use crate::{
    attribute::Attribute,
    block::{Block, HIDDEN},
    mistakes::{Mistakes, listed},
};

/// An argument with a value.
pub(crate) struct Argument<T = Expr> {
    /// The name of the argument, as it stands in the source.
    pub(crate) name: Ident,
    pub(crate) value: T,
    /// It is a default of the `#[cache_config]` around.
    pub(crate) inherited: bool,
}

/// What was written in the parentheses of the attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    expressions: Vec<(Name, Argument)>,
    flags: Vec<(Name, Ident)>,
    pub(crate) skip: Option<Argument<Vec<Ident>>>,
    pub(crate) krate: Option<Argument<Path>>,
    /// The block around, if it has a `#[cache_config]`.
    pub(crate) block: Option<Block>,
    /// Arguments that were written in a way that could not be read: their absence is not a second mistake.
    attempted: Vec<Name>,
}

impl Arguments {
    /// Reads all arguments. One that cannot be read does not hide the mistakes in those that follow.
    pub(crate) fn parse(tokens: TokenStream, attribute: Attribute, mistakes: &mut Mistakes) -> Self {
        let mut arguments = Self::default();
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = arguments.parse_one(input, attribute, mistakes) {
                    mistakes.add(error);
                    skip_to_next(input);
                } else if !input.is_empty() && !input.peek(Token![,]) {
                    mistakes.add(input.error("expected `,` between arguments"));
                    if !starts_argument(input) {
                        skip_to_next(input);
                    }
                }
                input.parse::<Option<Token![,]>>()?;
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(tokens) {
            mistakes.add(error);
        }
        arguments.inherit(attribute);
        arguments
    }

    /// The argument `name`, which has an expression.
    pub(crate) fn expression(&self, name: Name) -> Option<&Argument> {
        self.expressions.iter().find(|(known, _)| *known == name).map(|(_, argument)| argument)
    }

    /// The argument `name`, which is a flag.
    pub(crate) fn flag(&self, name: Name) -> Option<&Ident> {
        self.flags.iter().find(|(known, _)| *known == name).map(|(_, ident)| ident)
    }

    /// The word `name` as it was written here, and not in a `#[cache_config]`.
    pub(crate) fn written(&self, name: Name) -> Option<&Ident> {
        match name.form() {
            Form::Expression => self.expression(name).filter(|argument| !argument.inherited).map(|found| &found.name),
            Form::Path => self.krate.as_ref().map(|argument| &argument.name),
            Form::Names => self.skip.as_ref().map(|argument| &argument.name),
            Form::Flag => self.flag(name),
        }
    }

    /// Whether `name` was written, be it in a way that could not be read.
    pub(crate) fn attempted(&self, name: Name) -> bool {
        self.attempted.contains(&name)
    }

    /// Takes over the defaults of the block for what was not written here.
    fn inherit(&mut self, attribute: Attribute) {
        let Some(block) = &mut self.block else { return };
        let defaults = std::mem::take(&mut block.defaults);
        if block.mistaken {
            self.attempted.extend(Name::all_of(Attribute::CacheConfig));
            return;
        }
        for (name, argument) in defaults.expressions {
            if name.belongs_to(attribute) && !self.attempted.contains(&name) {
                self.expressions.push((name, Argument { inherited: true, ..argument }));
            }
        }
        for (name, ident) in defaults.flags {
            if name.belongs_to(attribute) && !self.attempted.contains(&name) {
                self.flags.push((name, ident));
            }
        }
        if !self.attempted.contains(&Name::Crate) {
            self.krate = defaults.krate;
        }
    }

    fn parse_one(&mut self, input: ParseStream<'_>, attribute: Attribute, mistakes: &mut Mistakes) -> syn::Result<()> {
        if input.peek(LitStr) {
            self.attempted.push(Name::Cache);
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error(format!("expected the name of an argument: write `{}`", Name::Cache.example())));
        }
        let ident = input.call(Ident::parse_any)?;
        if ident == HIDDEN && input.peek(Bracket) {
            let content;
            bracketed!(content in input);
            self.block = Some(Block::parse(&content)?);
            return Ok(());
        }
        let Some(name) = Name::of(&ident).filter(|name| name.belongs_to(attribute)) else {
            let error = syn::Error::new(ident.span(), self.unknown(&ident, attribute));
            // Its value is read, so that it cannot be taken for an argument.
            if !skip_value(input) {
                return Err(error);
            }
            mistakes.add(error);
            return Ok(());
        };
        self.attempted.push(name);
        let wrong = |says: &str| syn::Error::new(ident.span(), format!("`{ident}` {says} write `{}`", name.example()));
        let twice = self.written(name).is_some();
        match name.form() {
            Form::Expression => {
                let value = value(input, &wrong)?;
                self.expressions.push((name, Argument { name: ident.clone(), value, inherited: false }));
            }
            Form::Path => {
                let value = path(input, &wrong)?;
                self.krate.get_or_insert(Argument { name: ident.clone(), value, inherited: false });
            }
            Form::Names => {
                let value = names(input, &wrong)?;
                self.skip.get_or_insert(Argument { name: ident.clone(), value, inherited: false });
            }
            Form::Flag => {
                flag(input, &wrong)?;
                self.flags.push((name, ident.clone()));
            }
        }
        if twice {
            mistakes.on(&ident, format_args!("`{ident}` is given twice: remove one of the two"));
        }
        Ok(())
    }

    /// What to say of an argument that `attribute` does not have.
    fn unknown(&mut self, ident: &Ident, attribute: Attribute) -> String {
        if let Some(name) = Name::of(ident) {
            return name.elsewhere(attribute);
        }
        if let Some(found) = foreign::known(&ident.to_string())
            && found.here.is_none_or(|name| name.belongs_to(attribute))
        {
            self.attempted.extend(found.here);
            return format!("`{ident}` is not an argument here: {}", found.advice);
        }
        if let Some(name) = Name::meant_by(ident, attribute) {
            self.attempted.push(name);
            return format!("unknown argument `{ident}`: did you mean `{}`?", name.text());
        }
        let names = Name::all_of(attribute).map(Name::text);
        format!("unknown argument `{ident}`: the arguments of {attribute} are {}", listed(names))
    }
}

/// Makes the error that an argument is not written as it should be, from what is wrong with it.
type Wrong<'a> = dyn Fn(&str) -> syn::Error + 'a;

/// The `=` before a value. What is missing is blamed on the name: where it should be, there is nothing to point at.
fn equals(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<()> {
    if !input.peek(Token![=]) || input.peek(Token![==]) {
        return Err(wrong("needs a value:"));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(wrong("needs a value:"));
    }
    Ok(())
}

fn value(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<Expr> {
    equals(input, wrong)?;
    if input.peek(Token![#]) && !input.peek2(Bracket) {
        return Err(input.error(
            "this is a Rust expression, in which names have no `#`: write `id` for a parameter, and `result` for what \
             was returned",
        ));
    }
    input.parse().map_err(|error: syn::Error| {
        // Where something is missing at the end there is nothing to point at.
        if input.is_empty() { wrong("is not finished: complete it, or") } else { error }
    })
}

fn path(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<Path> {
    equals(input, wrong)?;
    input.call(Path::parse_mod_style).map_err(|_| wrong("needs a path:"))
}

fn names(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<Vec<Ident>> {
    let wrong = || wrong("takes names of parameters:");
    if !input.peek(Paren) {
        return Err(wrong());
    }
    let content;
    parenthesized!(content in input);
    let content: TokenStream = content.parse()?;
    let names = Punctuated::<Ident, Token![,]>::parse_terminated_with;
    match (|content: ParseStream<'_>| names(content, Ident::parse_any)).parse2(content) {
        Ok(names) if !names.is_empty() => Ok(names.into_iter().collect()),
        _ => Err(wrong()),
    }
}

fn flag(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) { Ok(()) } else { Err(wrong("takes no value:")) }
}

/// Passes over the value of an argument that does not exist. Whether it could be read.
fn skip_value(input: ParseStream<'_>) -> bool {
    if input.peek(Paren) {
        return input.parse::<TokenTree>().is_ok();
    }
    if !input.peek(Token![=]) {
        return true;
    }
    let ahead = input.fork();
    let is_read = ahead.parse::<Token![=]>().is_ok() && ahead.parse::<Expr>().is_ok();
    if is_read {
        input.advance_to(&ahead);
    }
    is_read
}

fn starts_argument(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.call(Ident::parse_any).is_ok_and(|ident| {
        Name::of(&ident).is_some() || ahead.peek(Token![=]) && foreign::known(&ident.to_string()).is_some()
    })
}

/// After what cannot be read: on to the comma before the next argument, so that commas within an expression (`f::<A, B>`)
/// do not look like the start of one.
fn skip_to_next(input: ParseStream<'_>) {
    while !input.is_empty() {
        if input.peek(Token![,]) {
            let ahead = input.fork();
            if ahead.parse::<Token![,]>().is_err() || ahead.is_empty() || starts_argument(&ahead) {
                return;
            }
        }
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};

    use super::*;

    fn parse(tokens: TokenStream) -> (Arguments, Vec<String>) {
        let mut mistakes = Mistakes::default();
        let arguments = Arguments::parse(tokens, Attribute::CacheEvict, &mut mistakes);
        (arguments, mistakes.messages())
    }

    #[test]
    fn every_argument_is_read() {
        let (arguments, messages) = parse(quote! {
            cache = "a", key = f::<A, B>(id, |a, b| a < b), skip(self, db,), registry = self.registry, crate = crate::a,
            cache_value, all, always, before, condition = a < b, requires_transaction, transaction = &tx,
        });
        assert_eq!(messages, [""; 0]);
        let key = arguments.expression(Name::Key).expect("a key").value.to_token_stream().to_string();
        assert_eq!(key, quote!(f::<A, B>(id, |a, b| a < b)).to_string());
        assert_eq!(arguments.skip.as_ref().expect("skip").value, ["self", "db"]);
        assert!(arguments.krate.is_some());
        for name in [Name::Cache, Name::Registry, Name::Transaction, Name::Condition] {
            assert!(arguments.expression(name).is_some(), "{name:?}");
        }
        for name in [Name::CacheValue, Name::All, Name::Always, Name::Before, Name::RequiresTransaction] {
            assert!(arguments.flag(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_does_not_hide_what_follows() {
        for (tokens, count) in [
            (quote!(cache = , key = id), 1),
            (quote!(cache = "a" key = id), 1),
            (quote!(cache = "a" x, y, key = id), 1),
            (quote!(ttl = f::<A, B>(x), key = id), 1),
            (quote!(allEntries = true, beforeInvocation = true, size(3), sync, key = id), 4),
            (quote!(=, key = id), 1),
            (quote!("a", key = id), 1),
            ("condition = #result.id, key = id".parse().expect("tokens"), 1),
            (quote!(all(x), always = 1, before: y, key = id), 3),
        ] {
            let (arguments, messages) = parse(tokens.clone());
            assert!(arguments.expression(Name::Key).is_some(), "{tokens}: {messages:?}");
            assert_eq!(messages.len(), count, "{tokens}: {messages:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts() {
        let (arguments, messages) = parse(quote!(cache = "a", cache = "b", all, all));
        let cache = arguments.expression(Name::Cache).expect("one");
        assert_eq!(cache.value.to_token_stream().to_string(), "\"a\"");
        assert_eq!(messages, ["cache", "all"].map(|name| format!("`{name}` is given twice: remove one of the two")));
    }

    #[test]
    fn what_was_meant_is_not_said_to_be_missing_as_well() {
        for cache in [quote!(chace = "a"), quote!(cacheNames = "a"), quote!(value = "a")] {
            let (arguments, messages) = parse(cache);
            assert!(arguments.attempted(Name::Cache), "{messages:?}");
        }
    }

    #[test]
    fn names_of_other_libraries_are_answered_with_ours() {
        for (argument, says) in [
            (quote!(allEntries = true), "`allEntries` is not an argument here: write `all`"),
            (quote!(beforeInvocation = true), "write `before`"),
            (quote!(cacheNames = ["a", "b"]), "write `cache = "),
            (quote!(size = 100), "CacheConfig::new(..).capacity(..)"),
            (quote!(result = true), "the return type says so itself"),
        ] {
            let (_, messages) = parse(argument);
            assert!(matches!(&*messages, [message] if message.contains(says)), "{messages:?}");
        }
    }

    #[test]
    fn defaults_fill_in_what_was_not_written() {
        let hidden = quote::format_ident!("{HIDDEN}");
        let defaults = quote!(cache = "a", registry = REGISTRY, ttl = TTL, requires_transaction);
        let (arguments, messages) = parse(quote!(#hidden [[] [] [] [#defaults]], cache = "b"));
        assert_eq!(messages, [""; 0]);
        let cache = arguments.expression(Name::Cache).expect("its own");
        assert_eq!((cache.value.to_token_stream().to_string(), cache.inherited), ("\"b\"".into(), false));
        assert!(arguments.expression(Name::Registry).expect("the default").inherited);
        assert!(arguments.flag(Name::RequiresTransaction).is_some());
        assert!(arguments.expression(Name::Ttl).is_none(), "an eviction has none");
    }
}
