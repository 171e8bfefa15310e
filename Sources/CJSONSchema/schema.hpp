#pragma once

#include "CJSONSchema.h"
#include "pattern.hpp"

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <valijson/constraints/concrete_constraints.hpp>
#include <valijson/schema.hpp>

struct cjs_schema {
    /// The root, and what references lead to, by number. Each is on its own: valijson knows nothing of references.
    std::vector<std::unique_ptr<valijson::Schema>> schemas;
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

/// `ensign:ref`: the value must be valid against another schema.
class ReferenceConstraint final : public valijson::constraints::PolyConstraint {
public:
    explicit ReferenceConstraint(size_t number) : number(number) {}

    const size_t number;

    bool validate(
        const valijson::adapters::Adapter &, const std::vector<std::string> &,
        valijson::ValidationResults *) const override
    {
        return false;
    }

private:
    Constraint *cloneInto(void *memory) const override { return new (memory) ReferenceConstraint(number); }
    size_t sizeOf() const override { return sizeof(ReferenceConstraint); }
};

/// `ensign:contains`: how many items must be, and may be, valid against another schema.
class ContainsCountConstraint final : public valijson::constraints::PolyConstraint {
public:
    /// `most` is less than 0 where there is no limit.
    ContainsCountConstraint(size_t number, int64_t least, int64_t most) : number(number), least(least), most(most) {}

    const size_t number;
    const int64_t least;
    const int64_t most;

    bool validate(
        const valijson::adapters::Adapter &, const std::vector<std::string> &,
        valijson::ValidationResults *) const override
    {
        return false;
    }

private:
    Constraint *cloneInto(void *memory) const override
    {
        return new (memory) ContainsCountConstraint(number, least, most);
    }
    size_t sizeOf() const override { return sizeof(ContainsCountConstraint); }
};
