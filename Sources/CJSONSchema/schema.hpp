#pragma once

#include "CJSONSchema.h"
#include "pattern.hpp"

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <valijson/constraints/concrete_constraints.hpp>
#include <valijson/schema.hpp>

struct cjs_schema {
    valijson::Schema root;
    /// Every pattern that occurs in the schema, compiled.
    std::unordered_map<std::string, Pattern> patterns;
};

/// `enum` and `const`: the canonical form of each allowed value, which valijson's own constraints do not give.
class AllowedConstraint final : public valijson::constraints::PolyConstraint {
public:
    explicit AllowedConstraint(std::vector<std::string> values) : values(std::move(values)) {}

    const std::vector<std::string> values;

    /// The visitor asks `values` instead.
    bool validate(
        const valijson::adapters::Adapter &, const std::vector<std::string> &,
        valijson::ValidationResults *) const override
    {
        return false;
    }

private:
    Constraint *cloneInto(void *memory) const override { return new (memory) AllowedConstraint(values); }
    size_t sizeOf() const override { return sizeof(AllowedConstraint); }
};
