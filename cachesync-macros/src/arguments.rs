//! The arguments of an attribute, as written: syntax and names, not yet what they mean together.
//!
//! Invariant: every argument keeps the span of its name, so that what is wrong with an argument is blamed on it.

use proc_macro2::TokenStream;
use syn::{
    Expr, Ident, LitStr, Path, Token,
    ext::IdentExt,
    parenthesized,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
    token::Paren,
};

use crate::{
    attribute::Attribute,
    mistakes::{Mistakes, listed},
};

/// An argument with a value, or a flag (`T` is `()`).
pub(crate) struct Argument<T = ()> {
    /// The name of the argument, as it stands in the source.
    pub(crate) name: Ident,
    pub(crate) value: T,
}

/// What was written in the parentheses of the attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) cache: Option<Argument<Expr>>,
    pub(crate) key: Option<Argument<Expr>>,
    pub(crate) skip: Option<Argument<Vec<Ident>>>,
    pub(crate) registry: Option<Argument<Expr>>,
    pub(crate) krate: Option<Argument<Path>>,
    pub(crate) cache_value: Option<Argument>,
    pub(crate) all: Option<Argument>,
    pub(crate) always: Option<Argument>,
    pub(crate) before: Option<Argument>,
    /// Arguments that were written in a way that could not be read: their absence is not a second mistake.
    attempted: Vec<Name>,
}

/// The arguments that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Cache,
    Key,
    Skip,
    Registry,
    Crate,
    CacheValue,
    All,
    Always,
    Before,
}

impl Name {
    const ALL: [Self; 9] = [
        Self::Cache,
        Self::Key,
        Self::Skip,
        Self::Registry,
        Self::Crate,
        Self::CacheValue,
        Self::All,
        Self::Always,
        Self::Before,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Key => "key",
            Self::Skip => "skip",
            Self::Registry => "registry",
            Self::Crate => "crate",
            Self::CacheValue => "cache_value",
            Self::All => "all",
            Self::Always => "always",
            Self::Before => "before",
        }
    }

    /// How the argument is written; shown when it was written otherwise.
    fn example(self) -> &'static str {
        match self {
            Self::Cache => "cache = \"users\"",
            Self::Key => "key = id",
            Self::Skip => "skip(db)",
            Self::Registry => "registry = self.registry",
            Self::Crate => "crate = path::to::cachesync",
            Self::CacheValue => "cache_value",
            Self::All => "all",
            Self::Always => "always",
            Self::Before => "before",
        }
    }

    fn belongs_to(self, attribute: Attribute) -> bool {
        match self {
            Self::All | Self::Always | Self::Before => attribute == Attribute::CacheEvict,
            _ => true,
        }
    }

    fn of(ident: &Ident) -> Option<Self> {
        Self::ALL.into_iter().find(|name| ident == name.text())
    }

    /// The argument of `attribute` that a misspelt one is most likely meant to be.
    fn meant_by(ident: &Ident, attribute: Attribute) -> Option<Self> {
        let written = ident.to_string();
        Self::ALL
            .into_iter()
            .filter(|name| name.belongs_to(attribute))
            .map(|name| (strsim::damerau_levenshtein(&written, name.text()), name))
            .filter(|(distance, name)| *distance <= (name.text().len() * 2 / 5).max(1))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name)
    }
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
        arguments
    }

    /// Whether `name` was written, be it in a way that could not be read.
    pub(crate) fn attempted(&self, name: Name) -> bool {
        self.attempted.contains(&name)
    }

    fn parse_one(&mut self, input: ParseStream<'_>, attribute: Attribute, mistakes: &mut Mistakes) -> syn::Result<()> {
        if input.peek(LitStr) {
            self.attempted.push(Name::Cache);
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error(format!("expected the name of an argument: write `{}`", Name::Cache.example())));
        }
        let ident = input.call(Ident::parse_any)?;
        let Some(name) = Name::of(&ident).filter(|name| name.belongs_to(attribute)) else {
            let meant = Name::meant_by(&ident, attribute);
            self.attempted.extend(meant);
            return Err(syn::Error::new(ident.span(), unknown(&ident, meant, attribute)));
        };
        self.attempted.push(name);
        let wrong = |says: &str| syn::Error::new(ident.span(), format!("`{ident}` {says}: write `{}`", name.example()));
        match name {
            Name::Cache => set(&mut self.cache, value(input, &wrong)?, ident, mistakes),
            Name::Key => set(&mut self.key, value(input, &wrong)?, ident, mistakes),
            Name::Registry => set(&mut self.registry, value(input, &wrong)?, ident, mistakes),
            Name::Crate => set(&mut self.krate, path(input, &wrong)?, ident, mistakes),
            Name::Skip => set(&mut self.skip, names(input, &wrong)?, ident, mistakes),
            Name::CacheValue => set(&mut self.cache_value, flag(input, &wrong)?, ident, mistakes),
            Name::All => set(&mut self.all, flag(input, &wrong)?, ident, mistakes),
            Name::Always => set(&mut self.always, flag(input, &wrong)?, ident, mistakes),
            Name::Before => set(&mut self.before, flag(input, &wrong)?, ident, mistakes),
        }
        Ok(())
    }
}

fn set<T>(slot: &mut Option<Argument<T>>, value: T, name: Ident, mistakes: &mut Mistakes) {
    if slot.is_some() {
        mistakes.on(&name, format_args!("`{name}` is given twice: remove one of the two"));
    } else {
        *slot = Some(Argument { name, value });
    }
}

fn unknown(ident: &Ident, meant: Option<Name>, attribute: Attribute) -> String {
    if Name::of(ident).is_some() {
        return format!("`{ident}` is an argument of {}: remove it from {attribute}", Attribute::CacheEvict);
    }
    if let Some(name) = meant {
        return format!("unknown argument `{ident}`: did you mean `{}`?", name.text());
    }
    let names = Name::ALL.into_iter().filter(|name| name.belongs_to(attribute)).map(Name::text);
    format!("unknown argument `{ident}`: the arguments of {attribute} are {}", listed(names))
}

/// Makes the error that an argument is not written as it should be, from what is wrong with it.
type Wrong<'a> = dyn Fn(&str) -> syn::Error + 'a;

/// The `=` before a value. What is missing is blamed on the name: where it should be, there is nothing to point at.
fn equals(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<()> {
    if !input.peek(Token![=]) || input.peek(Token![==]) {
        return Err(wrong("needs a value"));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(wrong("needs a value"));
    }
    Ok(())
}

fn value(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<Expr> {
    equals(input, wrong)?;
    input.parse()
}

fn path(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<Path> {
    equals(input, wrong)?;
    input.call(Path::parse_mod_style).map_err(|_| wrong("needs a path"))
}

fn names(input: ParseStream<'_>, wrong: &Wrong<'_>) -> syn::Result<Vec<Ident>> {
    let wrong = || wrong("takes names of parameters");
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
    if input.is_empty() || input.peek(Token![,]) { Ok(()) } else { Err(wrong("takes no value")) }
}

fn starts_argument(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.call(Ident::parse_any).is_ok_and(|ident| Name::of(&ident).is_some())
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
        if input.parse::<proc_macro2::TokenTree>().is_err() {
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
            cache_value, all, always, before,
        });
        assert_eq!(messages, [""; 0]);
        let key = arguments.key.expect("a key").value.to_token_stream().to_string();
        assert_eq!(key, quote!(f::<A, B>(id, |a, b| a < b)).to_string());
        assert_eq!(arguments.skip.expect("skip").value, ["self", "db"]);
        assert!(arguments.cache.is_some() && arguments.registry.is_some() && arguments.krate.is_some());
        let flags = [arguments.cache_value, arguments.all, arguments.always, arguments.before];
        assert!(flags.iter().all(Option::is_some));
    }

    #[test]
    fn what_cannot_be_read_does_not_hide_what_follows() {
        for (tokens, count) in [
            (quote!(cache = , key = id), 1),
            (quote!(cache = "a" key = id), 1),
            (quote!(cache = "a" x, y, key = id), 1),
            (quote!(ttl = f::<A, B>(x), key = id), 1),
            (quote!(=, key = id), 1),
            (quote!("a", key = id), 1),
            (quote!(all(x), always = 1, before: y, key = id), 3),
        ] {
            let (arguments, messages) = parse(tokens.clone());
            assert!(arguments.key.is_some(), "{tokens}: {messages:?}");
            assert_eq!(messages.len(), count, "{tokens}: {messages:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts() {
        let (arguments, messages) = parse(quote!(cache = "a", cache = "b"));
        assert_eq!(arguments.cache.expect("one").value.to_token_stream().to_string(), "\"a\"");
        assert_eq!(messages, ["`cache` is given twice: remove one of the two"]);
    }

    #[test]
    fn a_misspelt_name_is_recognised_and_another_is_not() {
        for (written, meant) in [
            ("chace", Some(Name::Cache)),
            ("keys", Some(Name::Key)),
            ("regsitry", Some(Name::Registry)),
            ("allways", Some(Name::Always)),
            ("ALL", None),
            ("ttl", None),
            ("name", None),
            ("condition", None),
        ] {
            let ident = quote::format_ident!("{written}");
            assert_eq!(Name::meant_by(&ident, Attribute::CacheEvict), meant, "{written}");
        }
        let (arguments, _) = parse(quote!(chace = "a"));
        assert!(arguments.attempted(Name::Cache), "so that it is not said to be missing as well");
    }
}
