//! The annotated function.
//!
//! Architecture invariant: the body is never parsed. It is tokens between braces, so that mistakes in it are reported by
//! the compiler, once, and syntax that is newer than `syn` works.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::ToTokens;
use syn::{
    Attribute as OtherAttribute, FnArg, GenericParam, Ident, Pat, PatIdent, ReturnType, Signature, Token, Type,
    Visibility, braced,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser},
    token::Brace,
    visit::{self, Visit},
};

use crate::{attribute::Attribute, mistakes::Mistakes, names::Mentions};

/// An annotated function, method or associated function.
pub(crate) struct Function {
    /// All other attributes; those of the body (`#![..]`) among them.
    pub(crate) attributes: Vec<OtherAttribute>,
    pub(crate) visibility: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) signature: Signature,
    /// The body, with its braces.
    pub(crate) body: Group,
    /// The word `self` among the parameters.
    pub(crate) receiver: Option<Token![self]>,
    /// The parameters but for the receiver.
    pub(crate) parameters: Vec<Parameter>,
}

/// A parameter that is not the receiver.
pub(crate) struct Parameter {
    pub(crate) pattern: Pat,
    pub(crate) ty: Type,
    /// The variables that the pattern binds.
    pub(crate) bindings: Vec<Binding>,
    /// It has a `#[cfg]`, so it may not be there.
    pub(crate) conditional: bool,
}

/// A variable.
pub(crate) struct Binding {
    pub(crate) ident: Ident,
    pub(crate) mutable: bool,
}

impl Function {
    /// Reads the item that `attribute` is on.
    pub(crate) fn parse(item: TokenStream, attribute: Attribute) -> syn::Result<Self> {
        (|input: ParseStream<'_>| Self::parse_item(input, attribute)).parse2(item)
    }

    fn parse_item(input: ParseStream<'_>, attribute: Attribute) -> syn::Result<Self> {
        let mut attributes = input.call(OtherAttribute::parse_outer)?;
        let visibility = input.parse()?;
        let defaultness = if input.peek(Token![default]) { Some(input.parse()?) } else { None };
        let next = input.lookahead1();
        let is_function = next.peek(Token![async])
            || next.peek(Token![fn])
            || next.peek(Token![const]) && !input.peek2(Ident)
            || next.peek(Token![unsafe]) && !input.peek2(Token![impl])
            || next.peek(Token![extern]) && !input.peek2(Token![crate]);
        if !is_function {
            return Err(input.error(format!("{attribute} goes on an `async fn`")));
        }
        let signature = Signature::parse(input)?;
        if !input.peek(Brace) {
            return Err(input.error(format!(
                "{attribute} needs a function with a body: put it on the implementation of `{}`",
                signature.ident
            )));
        }
        let content;
        let braces = braced!(content in input);
        attributes.extend(
            content
                .call(OtherAttribute::parse_inner)?
                .into_iter()
                .map(|attribute| OtherAttribute { style: syn::AttrStyle::Outer, ..attribute }),
        );
        let mut body = Group::new(Delimiter::Brace, content.parse()?);
        // A block in the source and a block in an expansion differ in lints: this one would have "unnecessary braces".
        body.set_span(Span::mixed_site().located_at(braces.span.join()));
        let receiver = signature.receiver().map(|receiver| receiver.self_token);
        let parameters = signature.inputs.iter().filter_map(Parameter::of).collect();
        Ok(Self { attributes, visibility, defaultness, signature, body, receiver, parameters })
    }

    /// What is wrong with the function itself, whatever the arguments.
    pub(crate) fn check(&self, attribute: Attribute, mistakes: &mut Mistakes) {
        if self.signature.asyncness.is_none() {
            let output = Mentions::of(&self.signature.output);
            let message = if output.has_text("Pin") && output.has_text("Future") {
                format!(
                    "{attribute} needs an async function: write `async fn` (what returns a boxed future, as \
                     `#[async_trait]` makes it do, can call an annotated `async fn`)"
                )
            } else {
                format!("{attribute} needs an async function: write `async fn`")
            };
            mistakes.at(self.signature.fn_token.span, message);
        }
        if let ReturnType::Type(_, ty) = &self.signature.output
            && matches!(**ty, Type::Never(_))
        {
            mistakes.on(ty, format_args!("a function that never returns has nothing for {attribute} to act on"));
        }
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.signature.ident
    }

    /// The variable called `name` that a parameter binds.
    pub(crate) fn binding(&self, name: &Ident) -> Option<&Binding> {
        let name = name.unraw();
        self.parameters.iter().flat_map(|parameter| &parameter.bindings).find(|binding| binding.ident.unraw() == name)
    }

    /// The names that its parameters bind, in their order.
    pub(crate) fn binding_names(&self) -> Vec<String> {
        let bindings = self.parameters.iter().flat_map(|parameter| &parameter.bindings);
        bindings.map(|binding| binding.ident.to_string()).collect()
    }

    /// Its type and const parameters.
    pub(crate) fn generics(&self) -> impl Iterator<Item = &Ident> {
        self.signature.generics.params.iter().filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Const(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) => None,
        })
    }

    /// Whether it is seen to be in an `impl` or a trait, which may have generic parameters that cannot be seen from here.
    /// An associated function that never says `Self` passes for a free one.
    pub(crate) fn is_associated(&self) -> bool {
        self.receiver.is_some() || says_self_type(&self.signature) || says_self_type(&self.body)
    }

    /// Whether the function may have another of our attributes, below this one, whose key uses the result.
    ///
    /// That attribute is expanded after this one and around it, so its key is evaluated after this one's block. It may
    /// have been imported under any name, so what counts is the word: in code, or as a variable in a format string.
    pub(crate) fn has_result_key_below(&self) -> bool {
        self.attributes.iter().any(|attribute| Mentions::of(&attribute.meta).has_variable("result"))
    }
}

fn says_self_type(tokens: &impl ToTokens) -> bool {
    Mentions::of(tokens).identifiers().any(|identifier| identifier == "Self")
}

impl Parameter {
    fn of(argument: &FnArg) -> Option<Self> {
        let FnArg::Typed(argument) = argument else { return None };
        let mut bindings = Bindings(Vec::new());
        bindings.visit_pat(&argument.pat);
        Some(Self {
            pattern: (*argument.pat).clone(),
            ty: (*argument.ty).clone(),
            bindings: bindings.0,
            conditional: argument.attrs.iter().any(|attribute| attribute.path().is_ident("cfg")),
        })
    }

    /// Its name, unless it is a pattern.
    pub(crate) fn name(&self) -> Option<&Ident> {
        match &self.pattern {
            Pat::Ident(PatIdent { ident, subpat: None, .. }) => Some(ident),
            _ => None,
        }
    }
}

/// Collects the variables of a pattern. A path to a constant or unit variant looks like one; in parameters neither stands.
struct Bindings(Vec<Binding>);

impl<'ast> Visit<'ast> for Bindings {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        self.0.push(Binding { ident: pattern.ident.clone(), mutable: pattern.mutability.is_some() });
        visit::visit_pat_ident(self, pattern);
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn a_key_with_result_below_is_recognised_by_any_name_of_its_attribute() {
        for (attributes, expected) in [
            (quote!(#[cache_evict(cache = "a", key = result.id)]), true),
            (quote!(#[evict(cache = "a", key = (id, *result))]), true),
            (quote!(#[cfg_attr(feature = "a", cachesync::cache_evict(cache = "a", key = result))]), true),
            (quote!(#[inline] #[evict(cache = "a", key = format!("{result:?}"))]), true),
            (quote!(#[evict(cache = "a", key = id)]), false),
            (quote!(#[doc = "Keeps the result."] #[must_use = "a result"] #[expect(clippy::result_large_err)]), false),
            (quote!(), false),
        ] {
            let item = quote!(#attributes async fn save(id: u64) -> Result<User, Error> {});
            let function = Function::parse(item, Attribute::CacheEvict).expect("a function");
            assert_eq!(function.has_result_key_below(), expected, "{attributes}");
        }
    }
}
