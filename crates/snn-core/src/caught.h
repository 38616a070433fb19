// What every function that the other side calls does with errors.
#pragma once
#include <cstring>
#include <exception>

// Runs `body`; null, or the message of what it threw, which the other side frees.
template <typename Body> char *caught(Body body) {
    try {
        body();
        return nullptr;
    } catch (const std::exception &error) {
        return strdup(error.what());
    } catch (...) {
        return strdup("an error of an unknown kind");
    }
}
