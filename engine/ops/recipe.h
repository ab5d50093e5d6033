// Keeping less for backward. The output of an activation or a norm is often an input that the next op keeps, a product for its weight's
// gradient or an activation for its slope, although the maker keeps its own input, from which the output can be made again: then one of the
// two is enough. The maker leaves a recipe on its output, the next op keeps the recipe and follows it once, in backward. The values are the
// same to the bit.
#pragma once
#include <functional>

#include "engine/core/tensor.h"

namespace alinea {

struct Recipe {
  std::function<Tensor()> again;
};

inline void leave_recipe(const Tensor& made, std::function<Tensor()> again) { made.made_by(std::make_shared<const Recipe>(std::move(again))); }

/// An input that backward reads once: its elements, or its recipe.
class KeptInput {
 public:
  KeptInput& operator=(const Tensor& x) {
    recipe_ = x.recipe();
    shape_ = x.shape();
    elements_ = recipe_ ? Tensor() : x;
    return *this;
  }
  /// The elements; nothing is kept afterwards.
  Tensor take() {
    const auto recipe = std::move(recipe_);
    recipe_ = nullptr;
    return recipe ? recipe->again().reshape(shape_) : std::move(elements_);
  }
  /// A function that makes them, for a recipe of what was made of them.
  std::function<Tensor()> source() const {
    if (recipe_) return [recipe = recipe_, shape = shape_] { return recipe->again().reshape(shape); };
    return [x = elements_] { return x; };
  }

 private:
  Tensor elements_;
  Shape shape_;
  std::shared_ptr<const Recipe> recipe_;
};

}  // namespace alinea
