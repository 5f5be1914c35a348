//! From a use of an attribute to code.
//!
//! Architecture invariants: the expansion names nothing but `#krate::__private`, so that it works in crates without a
//! prelude and without other dependencies. Its variables and traits cannot be seen by the user's expressions. Code of the
//! user keeps its own spans, so that errors and lints in it are the user's; all else has spans of the expansion, where
//! lints are quiet.

mod cache_evict;
mod cacheable;
mod keyed;
mod place;
mod site;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};

use self::place::Place;
use crate::{
    attribute::{Action, Use},
    function::Function,
};

/// The function with its new body.
pub(crate) fn expand(used: &Use) -> TokenStream {
    let emitter = Emitter::new(used);
    let site = site::site(&emitter);
    let work = match &used.action {
        Action::Load { key } => cacheable::expand(&emitter, key),
        Action::Evict { entries, when } => cache_evict::expand(&emitter, entries, *when),
    };
    let Function { attributes, visibility, defaultness, signature, .. } = &used.function;
    quote_spanned! {Span::mixed_site()=>
        #(#attributes)* #visibility #defaultness #signature {
            #site
            #work
        }
    }
}

/// What all parts of the expansion share.
struct Emitter<'u> {
    used: &'u Use,
    /// The path of `__private`.
    private: TokenStream,
}

impl<'u> Emitter<'u> {
    fn new(used: &'u Use) -> Self {
        let krate = &used.krate;
        Self { used, private: quote_spanned!(Span::mixed_site()=> #krate::__private) }
    }

    /// The value that a body of this type would return, for the type checker alone: it panics if it is ever run.
    ///
    /// Unlike `loop {}` it has the type `ty` and not `!`, so what follows is not unreachable code.
    fn never(&self, ty: &impl ToTokens) -> TokenStream {
        let private = &self.private;
        let at = Place::of(ty).start;
        quote_spanned!(at=> #private::core::option::Option::unwrap(#private::core::option::Option::<#ty>::None))
    }

    /// The user's body as a block, to be put into an `async` block.
    ///
    /// The statement before it tells the compiler what `return` and `?` in it produce, and is where the expected type
    /// comes from when the body has another one.
    fn body(&self) -> TokenStream {
        let ty = &self.used.returns.ty;
        let never = self.never(ty);
        let body = &self.used.function.body;
        let at = Place::of(ty).start;
        let hint = quote_spanned!(at=> if false { return #never; });
        quote_spanned!(Span::mixed_site()=> { #hint #body })
    }
}
