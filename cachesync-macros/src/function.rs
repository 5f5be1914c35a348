//! The annotated function.
//!
//! Architecture invariant: the body is never parsed. It is tokens between braces, so that mistakes in it are reported by
//! the compiler, once, and syntax that is newer than `syn` works.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute as OtherAttribute, FnArg, GenericParam, Ident, Pat, PatIdent, Signature, Token, Type, TypeImplTrait,
    Visibility, braced,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser},
    token::Brace,
    visit::{self, Visit},
};

use crate::{attribute::Attribute, block::Block, form::Form, mistakes::Mistakes, names::Mentions};

/// An annotated function, method or associated function.
pub(crate) struct Function {
    /// All other attributes; those of the body (`#![..]`) among them.
    pub(crate) attributes: Vec<OtherAttribute>,
    pub(crate) visibility: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) signature: Signature,
    /// The body, with its braces.
    pub(crate) body: Group,
    has_inner_attributes: bool,
    /// The word `self` among the parameters.
    pub(crate) receiver: Option<Token![self]>,
    /// The parameters but for the receiver.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) form: Form,
    /// What the caller has in the end: of a future, its `Output`.
    pub(crate) output: Type,
    /// The `impl` or trait around, if it has a `#[cache_config]` that tells of it.
    pub(crate) block: Option<Block>,
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
    pub(crate) fn parse(item: TokenStream, attribute: Attribute, block: Option<Block>) -> syn::Result<Self> {
        let last = item.clone().into_iter().last();
        let mut function = (|input: ParseStream<'_>| Self::parse_item(input, attribute)).parse2(item)?;
        if let Some(TokenTree::Group(body)) = last
            && !function.has_inner_attributes
        {
            // As it stands in the source, with the spans of both its braces.
            function.body = body;
        }
        function.block = block;
        Ok(function)
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
            let is_block = next.peek(Token![impl]) || next.peek(Token![trait]) || input.peek2(Token![impl]);
            let advice = if is_block {
                format!("put it on functions in here; what they share, {} says for all", Attribute::CacheConfig)
            } else {
                "remove it, or move it to one".into()
            };
            return Err(input.error(format!("{attribute} goes on a function: {advice}")));
        }
        let signature = Signature::parse(input)?;
        if !input.peek(Brace) {
            return Err(input.error(format!(
                "{attribute} needs a function with a body: put it on what implements `{}`, or on a function that calls it",
                signature.ident
            )));
        }
        let content;
        let braces = braced!(content in input);
        let inner = content.call(OtherAttribute::parse_inner)?;
        let has_inner_attributes = !inner.is_empty();
        attributes
            .extend(inner.into_iter().map(|attribute| OtherAttribute { style: syn::AttrStyle::Outer, ..attribute }));
        let mut body = Group::new(Delimiter::Brace, content.parse()?);
        body.set_span(braces.span.join());
        let receiver = signature.receiver().map(|receiver| receiver.self_token);
        let parameters = signature.inputs.iter().filter_map(Parameter::of).collect();
        let (form, output) = Form::of(&signature);
        Ok(Self {
            attributes,
            visibility,
            defaultness,
            signature,
            body,
            has_inner_attributes,
            receiver,
            parameters,
            form,
            output,
            block: None,
        })
    }

    /// What is wrong with the function itself, whatever the arguments.
    pub(crate) fn check(&self, attribute: Attribute, mistakes: &mut Mistakes) {
        self.form.check(&self.signature, attribute, mistakes);
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

    /// Whether code with these `mentions` may use a variable of the function.
    pub(crate) fn may_be_used_by(&self, mentions: &Mentions) -> bool {
        mentions.has_text("self") || self.used_by(mentions).next().is_some()
    }

    /// The parameters that code with these `mentions` may use.
    pub(crate) fn used_by<'f>(&'f self, mentions: &Mentions) -> impl Iterator<Item = &'f Parameter> {
        let is_used = |binding: &Binding| mentions.has(&binding.ident);
        self.parameters.iter().filter(move |parameter| parameter.bindings.iter().any(is_used))
    }

    /// Its type and const parameters, and those of the block around as far as they are known.
    pub(crate) fn generics(&self) -> impl Iterator<Item = &Ident> {
        let own = self.signature.generics.params.iter().filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Const(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) => None,
        });
        own.chain(self.block.iter().flat_map(|block| &block.generics))
    }

    /// Whether its types may depend on parameters, `impl Trait` of a parameter among them.
    pub(crate) fn has_type_parameters(&self) -> bool {
        let mut opaque = Opaque(false);
        self.parameters.iter().for_each(|parameter| opaque.visit_type(&parameter.ty));
        opaque.0 || self.generics().next().is_some()
    }

    /// Whether it is seen to be in an `impl` or a trait, which may have generic parameters that cannot be seen from here.
    /// An associated function that never says `Self` passes for a free one.
    pub(crate) fn is_associated(&self) -> bool {
        self.receiver.is_some() || says_self_type(&self.signature) || says_self_type(&self.body)
    }

    /// Whether the function may have another of our attributes, below this one, that uses variables after the body.
    ///
    /// That attribute is expanded after this one and around it, so what it evaluates last is evaluated after this one's
    /// block. It may have been imported under any name, so what counts are the words: in code, or as a variable in a
    /// format string.
    pub(crate) fn has_use_after_body_below(&self) -> bool {
        self.attributes.iter().any(|attribute| {
            let mentions = Mentions::of(&attribute.meta);
            mentions.has_variable("result") || mentions.identifiers().any(|word| AFTER_THE_BODY.contains(&word))
        })
    }
}

/// The arguments that are evaluated after the body, whether or not they use `result`.
const AFTER_THE_BODY: [&str; 6] = ["unless", "ttl", "none_ttl", "cache_err", "err_ttl", "tags"];

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

/// Finds `impl Trait`.
struct Opaque(bool);

impl<'ast> Visit<'ast> for Opaque {
    fn visit_type_impl_trait(&mut self, _: &'ast TypeImplTrait) {
        self.0 = true;
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
    fn what_is_used_after_the_body_below_is_recognised_by_any_name_of_its_attribute() {
        for (attributes, expected) in [
            (quote!(#[cache_evict(cache = "a", key = result.id)]), true),
            (quote!(#[evict(cache = "a", key = (id, *result))]), true),
            (quote!(#[cfg_attr(feature = "a", cachesync::cache_evict(cache = "a", key = result))]), true),
            (quote!(#[inline] #[evict(cache = "a", key = format!("{result:?}"))]), true),
            (quote!(#[load(cache = "a", key = id, ttl = ttl(name))]), true),
            (quote!(#[load(cache = "a", key = id, tags = [name])]), true),
            (quote!(#[evict(cache = "a", key = id)]), false),
            (quote!(#[doc = "Keeps the result."] #[must_use = "a result"] #[expect(clippy::result_large_err)]), false),
            (quote!(), false),
        ] {
            let item = quote!(#attributes async fn save(id: u64) -> Result<User, Error> {});
            let function = Function::parse(item, Attribute::CacheEvict, None).expect("a function");
            assert_eq!(function.has_use_after_body_below(), expected, "{attributes}");
        }
    }
}
