//! What of a function can be written in an item nested in it, and means the same there.
//!
//! A `static` in a function cannot name the function's generic parameters, nor those of the `impl` around it, nor `Self`,
//! nor lifetimes. A macro sees the former and not the latter. So where there may be an `impl`, only names that nobody
//! gives to a type parameter count. To be too careful costs a check at start that then happens at the first call; to be
//! too bold is a compile error in correct code.

use proc_macro2::{Ident, Span};
use syn::{
    BoundLifetimes, Lifetime, Macro, Path, Type, TypeImplTrait, TypeInfer,
    ext::IdentExt,
    visit::{self, Visit},
    visit_mut::{self, VisitMut},
};

use crate::{
    function::Function,
    model::{key::Key, looks_generic},
    names::Mentions,
};

/// Types and traits of the standard library that are not mistaken for type parameters.
const WELL_KNOWN: &[&str] = &[
    "bool",
    "char",
    "str",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f32",
    "f64",
    "String",
    "Vec",
    "VecDeque",
    "Option",
    "Result",
    "Box",
    "Arc",
    "Rc",
    "Cow",
    "HashMap",
    "HashSet",
    "BTreeMap",
    "BTreeSet",
    "Duration",
    "SystemTime",
    "Path",
    "PathBuf",
    "Send",
    "Sync",
    "Some",
    "None",
    "Ok",
    "Err",
];

/// The view from an item that is nested in a function.
pub(crate) struct Outside<'f> {
    generics: Vec<&'f Ident>,
    /// There may be generic parameters that cannot be seen.
    hidden: bool,
    /// The block around is known, and with it every generic parameter.
    known: bool,
    self_type: Option<&'f Type>,
}

impl<'f> Outside<'f> {
    pub(crate) fn of(function: &'f Function) -> Self {
        Self {
            generics: function.generics().collect(),
            hidden: function.is_associated(),
            known: function.block.is_some(),
            self_type: function.block.as_ref().and_then(|block| block.self_type.as_ref()),
        }
    }

    /// How `ty` is written there, its lifetimes apart; `None` if it cannot be.
    pub(crate) fn written(&self, ty: &Type) -> Option<Type> {
        let mut ty = ty.clone();
        if let Some(self_type) = self.self_type {
            SelfType(self_type).visit_type_mut(&mut ty);
        }
        let mut names = Names { outside: self, all_known: true };
        names.visit_type(&ty);
        names.all_known.then_some(ty)
    }

    /// Whether `key` can be evaluated there, if its parameters are declared.
    pub(crate) fn has_key(&self, key: &Key) -> bool {
        self.has_expression(&key.mentions, key.tied)
    }

    /// Whether an expression with these `mentions` can be evaluated there; not one that is `tied` to the function.
    pub(crate) fn has_expression(&self, mentions: &Mentions, tied: bool) -> bool {
        !tied
            && !mentions.identifiers().any(|name| name == "self" || name == "Self")
            && !self.generics.iter().any(|generic| mentions.has(generic))
            && mentions.identifiers().all(|name| self.knows(name))
    }

    /// Whether `name`, alone or at the start of a path, cannot be a generic parameter of an `impl`.
    fn knows(&self, name: &str) -> bool {
        let is_type = name.starts_with(|first: char| first.is_uppercase());
        if self.known {
            true
        } else if self.hidden {
            !is_type || WELL_KNOWN.contains(&name)
        } else {
            !(is_type && name.len() == 1)
        }
    }
}

/// Puts a type in place of `Self`, where that is a whole type.
struct SelfType<'t>(&'t Type);

impl VisitMut for SelfType<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if matches!(ty, Type::Path(path) if path.qself.is_none() && path.path.is_ident("Self")) {
            *ty = self.0.clone();
        } else {
            visit_mut::visit_type_mut(self, ty);
        }
    }
}

struct Names<'o> {
    outside: &'o Outside<'o>,
    all_known: bool,
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        if let Some(first) = path.segments.first().filter(|_| path.leading_colon.is_none()) {
            let name = first.ident.unraw().to_string();
            let is_generic = self.outside.generics.contains(&&first.ident)
                || !self.outside.known && looks_generic(path)
                || name == "Self";
            self.all_known &= !is_generic && self.outside.knows(&name);
        }
        visit::visit_path(self, path);
    }

    fn visit_type_impl_trait(&mut self, _: &'ast TypeImplTrait) {
        self.all_known = false;
    }

    fn visit_type_infer(&mut self, _: &'ast TypeInfer) {
        self.all_known = false;
    }

    fn visit_macro(&mut self, _: &'ast Macro) {
        self.all_known = false;
    }
}

/// `ty` with every lifetime that the function declares replaced by `lifetime`: `'_` or `'static`.
pub(crate) fn with_lifetime(ty: &Type, lifetime: &str) -> Type {
    let mut ty = ty.clone();
    Lifetimes { lifetime, bound: Vec::new() }.visit_type_mut(&mut ty);
    ty
}

struct Lifetimes<'a> {
    lifetime: &'a str,
    /// Those that a `for<..>` within the type declares; they stay.
    bound: Vec<Ident>,
}

impl VisitMut for Lifetimes<'_> {
    fn visit_bound_lifetimes_mut(&mut self, lifetimes: &mut BoundLifetimes) {
        // Visited before what it is in front of. A name is declared once within a signature, so there is no end to it.
        let declared = lifetimes.lifetimes.iter().filter_map(|parameter| match parameter {
            syn::GenericParam::Lifetime(parameter) => Some(parameter.lifetime.ident.clone()),
            _ => None,
        });
        self.bound.extend(declared);
        visit_mut::visit_bound_lifetimes_mut(self, lifetimes);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        let kept = lifetime.ident == "static" || lifetime.ident == "_" || self.bound.contains(&lifetime.ident);
        if !kept {
            *lifetime = Lifetime::new(self.lifetime, Span::call_site().located_at(lifetime.span()));
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};
    use syn::parse_quote;

    use super::*;
    use crate::{attribute::Attribute, block::Block};

    fn writable(function: proc_macro2::TokenStream, ty: &Type) -> bool {
        let function = Function::parse(function, Attribute::Cacheable, None).expect("a function");
        Outside::of(&function).written(ty).is_some()
    }

    #[test]
    fn a_free_function_can_name_all_but_its_own_generics() {
        let function = quote!(
            async fn f<Db: Database, const N: usize>() {}
        );
        for ty in [parse_quote!(&User), parse_quote!(Result<Arc<model::User>, DbError>), parse_quote!(dyn Fn(&str))] {
            assert!(writable(function.clone(), &ty), "{}", ty.to_token_stream());
        }
        for ty in [
            parse_quote!(&Db),
            parse_quote!(Option<Db::Row>),
            parse_quote!([u8; N]),
            parse_quote!(<Db as Database>::Row),
            parse_quote!(Box<dyn Fn(Db)>),
            parse_quote!(impl Into<u64>),
            parse_quote!(row!()),
            parse_quote!(Vec<_>),
        ] {
            assert!(!writable(function.clone(), &ty), "{}", ty.to_token_stream());
        }
    }

    #[test]
    fn a_method_can_only_name_what_cannot_be_a_parameter_of_its_impl() {
        for function in [
            quote!(
                async fn f(&self) {}
            ),
            quote!(
                async fn f() {
                    Self::g()
                }
            ),
        ] {
            for ty in
                [parse_quote!(&str), parse_quote!(Result<Arc<model::User>, String>), parse_quote!((u8, [char; 3]))]
            {
                assert!(writable(function.clone(), &ty), "{}", ty.to_token_stream());
            }
            for ty in [parse_quote!(User), parse_quote!(Option<T>), parse_quote!([u8; N]), parse_quote!(Self)] {
                assert!(!writable(function.clone(), &ty), "{}", ty.to_token_stream());
            }
        }
    }

    #[test]
    fn in_a_block_that_is_known_only_its_parameters_and_self_cannot_be_named() {
        let block = |self_type: &str| Block {
            generics: vec![quote::format_ident!("Db")],
            self_type: syn::parse_str(self_type).ok(),
            ..Block::default()
        };
        let written = |self_type: &str, ty: Type| {
            let function = quote!(
                async fn f<'a, T>(&self) {}
            );
            let function = Function::parse(function, Attribute::Cacheable, Some(block(self_type))).expect("a function");
            Outside::of(&function).written(&ty).map(|ty| ty.to_token_stream().to_string())
        };
        assert_eq!(written("Users", parse_quote!(Option<Self>)).as_deref(), Some("Option < Users >"));
        assert_eq!(written("Users<'a>", parse_quote!(&'a User)).as_deref(), Some("& 'a User"));
        assert_eq!(written("Users", parse_quote!(X)).as_deref(), Some("X"));
        for ty in [parse_quote!(Db), parse_quote!(T), parse_quote!(Self::Row), parse_quote!(Vec<Db::Row>)] {
            assert_eq!(written("Users", ty), None);
        }
        assert_eq!(written("Users<Db>", parse_quote!(Option<Self>)), None);
        assert_eq!(written("", parse_quote!(Option<Self>)), None, "in a trait");
    }

    #[test]
    fn lifetimes_are_replaced_but_for_bound_ones() {
        let ty: Type = parse_quote!(&'a Row<'b, 'static, dyn for<'c> Fn(&'c str) -> &'d str>);
        let expected: Type = parse_quote!(&'_ Row<'_, 'static, dyn for<'c> Fn(&'c str) -> &'_ str>);
        assert_eq!(with_lifetime(&ty, "'_").to_token_stream().to_string(), expected.to_token_stream().to_string());
    }
}
